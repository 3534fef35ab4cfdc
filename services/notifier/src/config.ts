import {
  type Basics,
  ConfigError,
  type Env,
  type LineLayout,
  readBasics,
  readEnv,
  readLineLayout,
} from '@ticket-line/shared'
import { readMetricsToken } from '@ticket-line/telemetry'
import {
  type AddressRules,
  readAddressRules,
  readSecretKeys,
  type SecretKeys,
} from '@ticket-line/webhooks'

/** The configuration of a notifier process. `docs/configuration.md` lists the variables. */
export interface NotifierConfig extends Basics {
  /** Says where the queue of webhooks is, and is checked against that of the installation. */
  layout: LineLayout
  /** Address of `/livez`, `/readyz` and `/metrics`. */
  host: string
  /** 0 picks a free port. */
  port: number
  /** The bearer token that `/metrics` requires. If undefined, anyone may read `/metrics`. */
  metricsToken: string | undefined
  poolSize: number
  /**
   * How long a stopping process may take, ms. After half of that time it cuts off the requests that
   * have no answer, and another notifier sends them again.
   */
  shutdownGraceMs: number
  /** The keys that decrypt the secrets of webhooks. */
  secretKeys: SecretKeys
  /** Which URLs and addresses webhooks may have. */
  addressRules: AddressRules
}

/** @throws ConfigError that names the variable with an unusable value */
export function readConfig(environment: Env): NotifierConfig {
  const env = readEnv(environment)
  const basics = readBasics(env)
  const secretKeys = readSecretKeys(env, basics.production)
  if (secretKeys === undefined) {
    throw new ConfigError(
      'WEBHOOK_SECRET_KEY is not set: without it, the secrets of webhooks cannot be read',
    )
  }
  return {
    ...basics,
    layout: readLineLayout(env),
    host: env.text('NOTIFIER_HOST', '127.0.0.1'),
    port: env.integer('NOTIFIER_PORT', 0, { min: 0, max: 65_535 }),
    metricsToken: readMetricsToken(env),
    poolSize: env.integer('NOTIFIER_PG_POOL', 8, { min: 2, max: 500 }),
    shutdownGraceMs: env.integer('SHUTDOWN_GRACE_MS', 5000, { min: 0, max: 600_000 }),
    secretKeys,
    addressRules: readAddressRules(env, basics),
  }
}
