import { isIP } from 'node:net'
import { type Basics, ConfigError, type EnvReader } from '@ticket-line/shared'
import ipaddr from 'ipaddr.js'

/** Maximum length of the URL of a webhook, in characters. */
export const MAX_WEBHOOK_URL_LENGTH = 2000

/** Which URLs and addresses webhooks may have. */
export interface AddressRules {
  /** True if URLs may begin with `http://`. */
  allowHttp: boolean
  /**
   * Hosts whose addresses are not checked, in the form of {@link hostOf}, with or without a port.
   */
  allowedHosts: ReadonlySet<string>
}

/**
 * Reads `WEBHOOK_ALLOW_HTTP` and `WEBHOOK_ALLOW_HOSTS`.
 *
 * @param basics outside production, http is allowed by default
 * @throws ConfigError with one line for the operator
 */
export function readAddressRules(
  env: EnvReader,
  { production }: Pick<Basics, 'production'>,
): AddressRules {
  const list = env.optional('WEBHOOK_ALLOW_HOSTS')?.split(',') ?? []
  return {
    allowHttp: env.flag('WEBHOOK_ALLOW_HTTP', !production),
    allowedHosts: new Set(list.map((entry) => readAllowedHost(entry.trim()))),
  }
}

function readAllowedHost(entry: string): string {
  const text = isIP(entry) === 6 ? `[${entry}]` : entry
  const [, host, port] = /^(\[[^\]]+\]|[^:/?#@*\\\s]+)(?::(\d{1,5}))?$/.exec(text) ?? []
  const url = host === undefined ? null : URL.parse(`https://${host}`)
  if (url === null) {
    throw new ConfigError(
      `WEBHOOK_ALLOW_HOSTS must be a list of host names and addresses such as "crm.internal, 10.0.0.7:8443", not "${entry}"`,
    )
  }
  return port === undefined ? hostOf(url) : `${hostOf(url)}:${port}`
}

/** The host of a URL in lower case, without brackets and without the dot at the end of a name. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
}

/**
 * True if the operator has allowed a host at the port of a URL.
 *
 * @param host the host of the URL, or one of its addresses
 */
export function isAllowed(host: string, url: URL, { allowedHosts }: AddressRules): boolean {
  const port = url.port || (url.protocol === 'http:' ? '80' : '443')
  return allowedHosts.has(host) || allowedHosts.has(`${host}:${port}`)
}

/**
 * Checks the URL of a webhook without resolving its name. `URL` converts every spelling of an IPv4
 * address (decimal, octal, hexadecimal, fullwidth digits) to the usual one before it is checked.
 *
 * @returns the parsed URL, or what is wrong with it
 */
export function checkUrl(text: string, rules: AddressRules): URL | string {
  if (text.length > MAX_WEBHOOK_URL_LENGTH) {
    return `must have at most ${MAX_WEBHOOK_URL_LENGTH} characters`
  }
  // `URL` removes white space and control characters without an error, and takes a backslash for a
  // slash. Other parsers do not.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a URL must not contain them
  const url = /[\u0000-\u0020\u007f\\]/.test(text) ? null : URL.parse(text)
  const schemes = rules.allowHttp ? ['https:', 'http:'] : ['https:']
  if (url === null || !schemes.includes(url.protocol)) {
    return rules.allowHttp ? 'must be an http or https URL' : 'must be an https URL'
  }
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password'
  if (text.includes('#')) return 'must not contain a fragment'
  const host = hostOf(url)
  if (isAllowed(host, url, rules)) return url
  if (isIP(host) === 0 ? isLocalName(host) : !isPublicAddress(host)) {
    return 'must not lead to a private or reserved address'
  }
  return url
}

/** True if a name never belongs to a public host (RFC 6761, section 6.3). */
function isLocalName(host: string): boolean {
  return host === '' || host === 'localhost' || host.endsWith('.localhost')
}

/** All global unicast addresses of IPv6. Everything else is reserved (RFC 4291, section 2.4). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Public addresses that lead into the network of a cloud. At 168.63.129.16, the platform of Azure
 * answers its virtual machines. The metadata services of other clouds have link-local, shared or
 * unique local addresses.
 */
const NOT_PUBLIC = new Set(['168.63.129.16'])

/**
 * True if an address is public: it is in no range with a special purpose, and it does not contain
 * an IPv4 address, as mapped, 6to4, Teredo and NAT64 addresses do.
 *
 * @param address in the spelling of PostgreSQL, DNS or `URL`; any other spelling is not public
 */
export function isPublicAddress(address: string): boolean {
  // `isIP` accepts only the usual spelling of IPv4. `ipaddr.js` would also accept octal numbers.
  if (isIP(address) === 0 || address.includes('%') || NOT_PUBLIC.has(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_IPV6)
}
