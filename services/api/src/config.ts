import {
  type Basics,
  ConfigError,
  type Env,
  type EnvReader,
  type LineLayout,
  readBasics,
  readDatabaseReadUrl,
  readEnv,
  readLineLayout,
} from '@ticket-line/shared'
import { readMetricsToken, readTracingConfig, type TracingConfig } from '@ticket-line/telemetry'
import {
  type AddressRules,
  readAddressRules,
  readSecretKeys,
  type SecretKeys,
} from '@ticket-line/webhooks'
import { type AccountsConfig, readAccountsConfig } from './accounts/config.js'
import { type AuthConfig, readAuthConfig } from './auth/config.js'
import type { CookieSecurityOptions } from './http/browser.js'
import { parseNetworks, type TrustedProxies } from './http/client-address.js'
import { type AllowedOrigins, readAllowedOrigins } from './http/cors.js'
import { type LimitsConfig, readLimitsConfig } from './limits/config.js'
import { readSecurityContacts } from './operations/security-txt.js'

/** The settings of an API process. `docs/configuration.md` lists the variables. */
export interface ApiConfig extends Basics {
  /** `DATABASE_READ_URL`: the standby that downloads read; undefined if there is none. */
  databaseReadUrl: string | undefined
  /** `SHARED_LINES`, `SHARDS`, `KEY_PREFIX`: the same in all processes, fixed at installation. */
  layout: LineLayout
  server: ServerConfig
  /** `TRUST_PROXY_HOPS` and `TRUSTED_PROXIES`: the proxies whose `X-Forwarded-For` is trusted. */
  trustedProxies: TrustedProxies
  /** `CORS_ORIGINS`: the origins whose pages may read responses. */
  allowedOrigins: AllowedOrigins
  /** When cookies are marked `Secure`. */
  cookies: CookieSecurityOptions
  /** `METRICS_TOKEN`: the token that `/metrics` requires. */
  metricsToken: string | undefined
  /** `SECURITY_CONTACT`: where to report vulnerabilities. */
  securityContacts: string[]
  line: LineConfig
  postgres: PostgresConfig
  limits: LimitsConfig
  auth: AuthConfig
  accounts: AccountsConfig
  /** `QUEUE_BOARD_WRITABLE`: whether the dashboard may change queues and jobs. */
  dashboardWritable: boolean
  /** `INITIALIZE_OPEN`: `POST /initialize` needs no token. Not allowed in production. */
  initializeOpen: boolean
  webhooks: WebhooksConfig
  /** Where traces are sent; undefined if tracing is off. */
  tracing: TracingConfig | undefined
  /**
   * `SHUTDOWN_GRACE_MS`: how long a stopping process may take to finish its requests. After half of
   * it, clients that still wait for a decision get 202.
   */
  shutdownGraceMs: number
}

export interface WebhooksConfig {
  /**
   * `WEBHOOK_SECRET_KEY`: encrypts signing secrets. Without it, calls that make secrets answer 503.
   */
  keys: SecretKeys | undefined
  /** `WEBHOOK_ALLOW_HTTP` and `WEBHOOK_ALLOW_HOSTS`: which URLs webhooks may have. */
  rules: AddressRules
}

export interface ServerConfig {
  /** `HOST`: the address to listen on; 0.0.0.0 in a container. */
  host: string
  /** `PORT`: 0 selects a free one. */
  port: number
  /**
   * `HEADERS_TIMEOUT_MS`, `REQUEST_TIMEOUT_MS`: how long a client may take to send the headers, and
   * the whole request.
   */
  headersTimeoutMs: number
  requestTimeoutMs: number
  /**
   * `KEEP_ALIVE_TIMEOUT_MS`: an idle connection is closed after this time. It must be longer than
   * the idle timeout of the proxy.
   */
  keepAliveTimeoutMs: number
  /** `MAX_HEADER_BYTES`: maximum size of the headers of a request. */
  maxHeaderBytes: number
  /** `MAX_CONNECTIONS`: further connections are refused. */
  maxConnections: number
  /** `MAX_REQUESTS`: concurrent requests, except long polls. Further ones get 503 `busy`. */
  maxRequests: number
  /** `MAX_LONG_POLLS`: clients that wait for a job. Further ones get 503 `busy`. */
  maxLongPolls: number
  /** `MAX_STREAMS`: open streams of this process. Further ones get 503 `busy`. */
  maxStreams: number
  /** `MAX_STREAMS_PER_ADDRESS`: open streams of an address. Further ones get 429. */
  maxStreamsPerAddress: number
  /**
   * `EXPORT_STALL_TIMEOUT_MS`: a connection is closed, and a download ends, if the client reads
   * nothing for this long.
   */
  stallTimeoutMs: number
}

export interface LineConfig {
  /** `RESULT_WAIT_MS`: how long a request without a preference waits for the decision. */
  resultWaitMs: number
  /** `MAX_QUEUE_DEPTH`: maximum number of undecided commands of one event. */
  maxQueueDepth: number
  /** `COALESCE_HOLD_MS`: how long commands of a busy line may be held for the next job. */
  holdMs: number
  /** `REDIS_TIMEOUT_MS`: how long a call to Redis may take. */
  redisTimeoutMs: number
  /**
   * `PROBE_INTERVAL_MS`, `PROBE_TIMEOUT_MS`: pause between two probes of a server, and how long one
   * may take.
   */
  probeMs: number
  probeTimeoutMs: number
}

export interface PostgresConfig {
  /** `API_PG_POOL`: connections for reads and accounts. */
  poolSize: number
  /** `API_PG_LINE_POOL`: connections of the line client. */
  linePoolSize: number
  /** `API_PG_EXPORT_POOL`: connections for CSV exports. Each one is held for a whole download. */
  exportPoolSize: number
  /** `API_PG_CONNECT_TIMEOUT_MS`: how long a caller waits for a connection. */
  connectTimeoutMs: number
  /** `API_PG_STATEMENT_TIMEOUT_MS`: how long a statement may take. */
  statementTimeoutMs: number
  /** `PG_IDLE_IN_TRANSACTION_TIMEOUT_MS`: how long a session may be idle in a transaction. */
  idleInTransactionTimeoutMs: number
  /** `READ_TIMEOUT_MS`: how long a read may take. A request whose read takes longer gets 503. */
  readTimeoutMs: number
  /** `EXPORT_TIMEOUT_MS`: maximum duration of a download. */
  exportTimeoutMs: number
  /** `KNOWN_EVENTS`: maximum number of existing events that a process remembers. */
  knownEvents: number
}

/** @throws ConfigError that names the invalid variable */
export function readConfig(environment: Env): ApiConfig {
  const env = readEnv(environment)
  const basics = readBasics(env)
  const { production } = basics
  const trustedProxies = readTrustedProxies(env)
  const auth = readAuthConfig(env, production)
  return {
    ...basics,
    databaseReadUrl: readDatabaseReadUrl(env),
    layout: readLineLayout(env),
    server: readServer(env),
    trustedProxies,
    allowedOrigins: readAllowedOrigins(env, production),
    cookies: {
      always: production,
      trustProxy: trustedProxies.hops > 0 || trustedProxies.networks !== undefined,
    },
    metricsToken: readMetricsToken(env),
    securityContacts: readSecurityContacts(env),
    line: readLine(env),
    postgres: readPostgres(env),
    limits: readLimitsConfig(env),
    auth,
    accounts: readAccountsConfig(env, { production, localAccounts: auth.localAccounts }),
    dashboardWritable: env.flag('QUEUE_BOARD_WRITABLE', false),
    initializeOpen: readInitializeOpen(env, production),
    webhooks: {
      keys: readSecretKeys(env, production),
      rules: readAddressRules(env, basics),
    },
    tracing: readTracingConfig(environment, 'api'),
    shutdownGraceMs: env.integer('SHUTDOWN_GRACE_MS', 5000, { min: 0, max: 600_000 }),
  }
}

function readInitializeOpen(env: EnvReader, production: boolean): boolean {
  const open = env.flag('INITIALIZE_OPEN', false)
  if (!open || !production) return open
  throw new ConfigError(
    'INITIALIZE_OPEN must not be true in production: anybody could create events',
  )
}

function readTrustedProxies(env: EnvReader): TrustedProxies {
  const hops = env.integer('TRUST_PROXY_HOPS', 0, { min: 0, max: 10 })
  const list = env.optional('TRUSTED_PROXIES')
  const networks = list === undefined ? undefined : parseNetworks(list)
  if (list !== undefined && networks === undefined) {
    throw new ConfigError(
      `TRUSTED_PROXIES must be a list of networks such as "10.0.0.0/8, 2001:db8::/32", not "${list}"`,
    )
  }
  return { hops, networks }
}

function readServer(env: EnvReader): ServerConfig {
  return {
    host: env.text('HOST', '127.0.0.1'),
    port: env.integer('PORT', 3000, { min: 0, max: 65_535 }),
    headersTimeoutMs: env.integer('HEADERS_TIMEOUT_MS', 5000, { min: 100, max: 600_000 }),
    requestTimeoutMs: env.integer('REQUEST_TIMEOUT_MS', 10_000, { min: 100, max: 600_000 }),
    keepAliveTimeoutMs: env.integer('KEEP_ALIVE_TIMEOUT_MS', 65_000, { min: 100, max: 600_000 }),
    maxHeaderBytes: env.integer('MAX_HEADER_BYTES', 16_384, { min: 1024, max: 1_048_576 }),
    maxConnections: env.integer('MAX_CONNECTIONS', 20_000, { min: 1, max: 1_000_000 }),
    maxRequests: env.integer('MAX_REQUESTS', 10_000, { min: 1, max: 1_000_000 }),
    maxLongPolls: env.integer('MAX_LONG_POLLS', 10_000, { min: 1, max: 1_000_000 }),
    maxStreams: env.integer('MAX_STREAMS', 10_000, { min: 1, max: 1_000_000 }),
    maxStreamsPerAddress: env.integer('MAX_STREAMS_PER_ADDRESS', 100, { min: 1, max: 1_000_000 }),
    stallTimeoutMs: env.integer('EXPORT_STALL_TIMEOUT_MS', 30_000, { min: 50, max: 600_000 }),
  }
}

function readLine(env: EnvReader): LineConfig {
  return {
    resultWaitMs: env.integer('RESULT_WAIT_MS', 10_000, { min: 0, max: 300_000 }),
    maxQueueDepth: env.integer('MAX_QUEUE_DEPTH', 20_000, { min: 1, max: 10_000_000 }),
    holdMs: env.integer('COALESCE_HOLD_MS', 100, { min: 1, max: 1000 }),
    redisTimeoutMs: env.integer('REDIS_TIMEOUT_MS', 400, { min: 50, max: 60_000 }),
    probeMs: env.integer('PROBE_INTERVAL_MS', 250, { min: 20, max: 60_000 }),
    probeTimeoutMs: env.integer('PROBE_TIMEOUT_MS', 1000, { min: 50, max: 60_000 }),
  }
}

function readPostgres(env: EnvReader): PostgresConfig {
  const ms = (name: string, fallback: number) =>
    env.integer(name, fallback, { min: 50, max: 600_000 })
  return {
    poolSize: env.integer('API_PG_POOL', 8, { min: 1, max: 500 }),
    linePoolSize: env.integer('API_PG_LINE_POOL', 4, { min: 2, max: 500 }),
    exportPoolSize: env.integer('API_PG_EXPORT_POOL', 2, { min: 1, max: 100 }),
    connectTimeoutMs: ms('API_PG_CONNECT_TIMEOUT_MS', 700),
    statementTimeoutMs: ms('API_PG_STATEMENT_TIMEOUT_MS', 5000),
    idleInTransactionTimeoutMs: ms('PG_IDLE_IN_TRANSACTION_TIMEOUT_MS', 3000),
    readTimeoutMs: ms('READ_TIMEOUT_MS', 800),
    exportTimeoutMs: env.integer('EXPORT_TIMEOUT_MS', 600_000, { min: 50, max: 86_400_000 }),
    knownEvents: env.integer('KNOWN_EVENTS', 100_000, { min: 1, max: 10_000_000 }),
  }
}
