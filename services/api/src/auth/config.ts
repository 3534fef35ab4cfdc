import { ConfigError, type EnvReader } from '@ticket-line/shared'
import { guessesLog10 } from './strength.js'

/** Minimum length of an HS256 secret, bytes (RFC 7518, section 3.2). */
const MIN_SECRET_BYTES = 32
/** Minimum number of different bytes. A pattern typed by hand has fewer. */
const MIN_SECRET_VARIETY = 8
/**
 * Minimum number of guesses for a secret, as a power of ten: 80 bits, because a secret can be
 * guessed offline.
 */
const MIN_SECRET_GUESSES = 24

/** Matches published secrets, and commands that were pasted instead of their output. */
export const EXAMPLE_SECRET =
  /change.?(?:me|this|it)|replace.?(?:me|this|with)|example|placeholder|your.?(?:own|very|super|jwt|256|secret)|string.?secret|keyboard.?cat|openssl/i

/** Matches words that describe a secret. A random secret contains none of them. */
const SELF_NAMED_SECRET =
  /secret|pass.?word|jwt.?key|ticket.?line|should.?be.?(?:changed|replaced)/i

/**
 * Registered claims (RFC 7519, section 4.1), and claims that have another meaning in our tokens.
 */
const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'gen']

/** How callers prove their identity. */
export interface AuthConfig {
  /** HS256 secret; absent if HS256 is off. */
  secret?: Uint8Array
  /**
   * EdDSA keys of this installation as PEM or JWK, the signing key first. If absent, tokens are
   * signed with the secret.
   */
  privateKeys?: string
  /** URL of another issuer's keys. */
  jwksUrl?: URL
  /** The `iss` and `aud` that tokens must have, and that our tokens get; unchecked if absent. */
  issuer?: string
  audience?: string
  /** Maximum age of a token by its `iat`, s; unchecked if absent. */
  maxTokenAgeS?: number
  /** The claim that contains the role, if it is not `role`. */
  roleClaim?: string
  /** True if this installation keeps accounts, sign-ins and roles. */
  localAccounts: boolean
}

/**
 * Reads `JWT_SECRET`, `JWT_PRIVATE_KEYS`, `JWT_JWKS_URL`, `JWT_ISSUER`, `JWT_AUDIENCE`,
 * `JWT_MAX_AGE`, `JWT_ROLE_CLAIM` and `LOCAL_ACCOUNTS`.
 *
 * @throws ConfigError with one line for the operator
 */
export function readAuthConfig(env: EnvReader, production: boolean): AuthConfig {
  const jwksUrl = readJwksUrl(env, production)
  const localAccounts = env.flag('LOCAL_ACCOUNTS', jwksUrl === undefined)
  if (!localAccounts && jwksUrl === undefined) {
    throw new ConfigError('LOCAL_ACCOUNTS=false needs JWT_JWKS_URL: otherwise nobody can sign in')
  }
  const config: AuthConfig = { localAccounts }
  if (jwksUrl !== undefined) config.jwksUrl = jwksUrl
  const issuer = env.optional('JWT_ISSUER')
  if (issuer !== undefined) config.issuer = issuer
  const audience = env.optional('JWT_AUDIENCE')
  if (audience !== undefined) config.audience = audience
  if (production && jwksUrl !== undefined) requireIssuerAndAudience(config)
  const roleClaim = env.optional('JWT_ROLE_CLAIM')?.trim()
  if (roleClaim !== undefined && RESERVED_CLAIMS.includes(roleClaim)) {
    throw new ConfigError(
      `JWT_ROLE_CLAIM must not be "${roleClaim}": that claim has another meaning`,
    )
  }
  if (roleClaim !== undefined && roleClaim !== 'role') config.roleClaim = roleClaim
  const maxTokenAgeS = env.integer('JWT_MAX_AGE', 0, { min: 0, max: 31_536_000 })
  if (maxTokenAgeS > 0) config.maxTokenAgeS = maxTokenAgeS
  return localAccounts ? { ...config, ...readOwnKeys(env, production) } : config
}

/**
 * An issuer signs tokens for many applications. Only these two claims show which tokens are for us.
 */
function requireIssuerAndAudience({ issuer, audience }: AuthConfig): void {
  const missing = [
    ...(issuer === undefined ? ['JWT_ISSUER'] : []),
    ...(audience === undefined ? ['JWT_AUDIENCE'] : []),
  ]
  if (missing.length === 0) return
  throw new ConfigError(
    `JWT_JWKS_URL needs ${missing.join(' and ')} in production: otherwise tokens for other applications of the issuer are accepted`,
  )
}

function readJwksUrl(env: EnvReader, production: boolean): URL | undefined {
  const text = env.optional('JWT_JWKS_URL')
  if (text === undefined) return undefined
  const url = URL.parse(text.trim())
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new ConfigError('JWT_JWKS_URL must be an http or https URL')
  }
  if (
    production &&
    url.protocol === 'http:' &&
    !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  ) {
    throw new ConfigError(
      'JWT_JWKS_URL must be https in production: otherwise an attacker can replace the keys in transit and forge tokens',
    )
  }
  return url
}

function readOwnKeys(
  env: EnvReader,
  production: boolean,
): Pick<AuthConfig, 'secret' | 'privateKeys'> {
  const privateKeys = env.optional('JWT_PRIVATE_KEYS')
  const text = env.optional('JWT_SECRET')
  if (text === undefined) {
    if (privateKeys === undefined) {
      throw new ConfigError(
        `JWT_SECRET is not set: it must be ${MIN_SECRET_BYTES} random bytes or more`,
      )
    }
    return { privateKeys }
  }
  const secret = new TextEncoder().encode(text)
  if (production) {
    refuseWeakSecret(text, secret)
    refuseSharedSecret(env, text)
  }
  return privateKeys === undefined ? { secret } : { secret, privateKeys }
}

function refuseWeakSecret(text: string, secret: Uint8Array): void {
  if (secret.length < MIN_SECRET_BYTES) {
    throw new ConfigError(
      `JWT_SECRET is too short: ${secret.length} bytes, but it needs ${MIN_SECRET_BYTES} or more`,
    )
  }
  if (
    EXAMPLE_SECRET.test(text) ||
    SELF_NAMED_SECRET.test(text) ||
    new Set(secret).size < MIN_SECRET_VARIETY
  ) {
    throw new ConfigError('JWT_SECRET looks like an example: set random bytes of your own')
  }
  if (guessesLog10(text) < MIN_SECRET_GUESSES) {
    throw new ConfigError(
      'JWT_SECRET is easy to guess: set random bytes, for example from "openssl rand -base64 48"',
    )
  }
}

/**
 * Refuses a secret that contains `ADMIN_PASSWORD` or `METRICS_TOKEN`. Others may learn these two,
 * because people type the password and clients send the token.
 */
function refuseSharedSecret(env: EnvReader, secret: string): void {
  for (const name of ['ADMIN_PASSWORD', 'METRICS_TOKEN']) {
    const other = env.optional(name)?.trim().toLowerCase()
    if (other !== undefined && secret.toLowerCase().includes(other)) {
      throw new ConfigError(
        `JWT_SECRET contains ${name}: set random bytes that are used for nothing else`,
      )
    }
  }
}
