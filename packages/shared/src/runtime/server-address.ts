import { ConfigError, type EnvReader } from './env.js'

/** A server whose address is set as one variable, or as several parts. */
export interface ServerSetting {
  /** The variable with the whole address. The names of the parts begin with the same word. */
  variable: string
  schemes: readonly string[]
  /** The variables to set instead of an address that cannot be read, if there are any. */
  parts?: string
}

/**
 * Reads an address that is set as one variable. Refuses an address that the driver would not parse
 * as the operator meant it. An example is a password that contains "/", "?", "#" or "%" without
 * encoding.
 *
 * @throws ConfigError naming the variable; it never contains a password
 */
export function readAddress(value: string, { variable, schemes, parts }: ServerSetting): string {
  const address = value.trim()
  if (!schemes.some((scheme) => address.startsWith(`${scheme}://`))) {
    // The address may contain a password, so it is not part of the message.
    throw new ConfigError(
      `${variable} must be an address that begins with ${schemes.join(':// or ')}://`,
    )
  }
  // If `?host=` names a Unix socket, libpq and node-postgres accept an empty host after the user.
  // `URL` does not.
  const url = parse(address) ?? parse(address.replace('@/', '@localhost/'))
  if (url !== undefined && isWhole(url)) return address
  const instead = parts === undefined ? '' : `, or set ${parts} instead, which need no encoding`
  throw new ConfigError(
    `${variable} cannot be read: percent-encode every "/", "?", "#", "%", "@" and ":" in its user name and password ` +
      `(a "/" is %2F)${instead}`,
  )
}

// `npm start` runs this on Node 20, which has no URL.parse.
function parse(address: string): URL | undefined {
  try {
    return new URL(address)
  } catch {
    return undefined
  }
}

/** True if no part of the credentials was parsed as path, query or fragment. */
function isWhole({ username, password, hostname, pathname, search, hash }: URL): boolean {
  if (hash !== '' || pathname.includes('@')) return false
  if (username === '' && password === '' && search.includes('@')) return false
  try {
    for (const part of [username, password, hostname, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** The user and password of an address, percent-encoded, with "@"; empty if there are none. */
export function credentials(user: string, password: string | undefined): string {
  if (user === '' && password === undefined) return ''
  return `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`
}

/**
 * The host and port of an address. The port is that of `<prefix>_PORT`.
 *
 * @param prefix the word with which the names of the variables begin
 * @throws ConfigError if the port is out of range, or `host` is no host name and no IP address
 */
export function hostAndPort(
  env: EnvReader,
  prefix: string,
  host: string,
  defaultPort: number,
): string {
  const port = env.integer(`${prefix}_PORT`, defaultPort, { min: 1, max: 65_535 })
  // PostgreSQL also listens on a Unix socket; the host is then the socket's folder.
  const isFolder = prefix === 'DATABASE' && host.startsWith('/')
  const text = isFolder ? encodeURIComponent(host) : host.includes(':') ? `[${host}]` : host
  if (
    (!isFolder && /[\s/?#@%]/.test(host)) ||
    !URL.canParse(`http://${isFolder ? 'folder' : text}`)
  ) {
    throw new ConfigError(`${prefix}_HOST must be a host name or an IP address, not "${host}"`)
  }
  return `${text}:${port}`
}
