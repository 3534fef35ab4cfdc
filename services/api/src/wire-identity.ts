import { type Accounts, createAccounts, createRefreshTokens, type Db } from '@ticket-line/db'
import type { Log } from '@ticket-line/shared'
import { createPasswords, type Passwords } from '@ticket-line/shared/passwords'
import type { Redis } from 'ioredis'
import { ensureFirstAdmin } from './accounts/first-admin.js'
import { createRefreshCookie } from './accounts/refresh-cookie.js'
import { accountRoutes } from './accounts/routes.js'
import { createSessions } from './accounts/sessions.js'
import { createSignIn, type SignIn } from './accounts/sign-in.js'
import { userRoutes } from './accounts/user-routes.js'
import {
  type AccountOverrides,
  createAccountOverrides,
  noOverrides,
} from './auth/account-overrides.js'
import { createAuthenticate } from './auth/authenticate.js'
import type { IdentityConfig } from './auth/config.js'
import { createTokenIssuer } from './auth/issue-token.js'
import { keyRoutes } from './auth/jwks-route.js'
import { createKeyring, type Keyring } from './auth/keyring.js'
import { createRemoteKeys } from './auth/remote-keys.js'
import { createTokenVerifier, type TokenVerifier } from './auth/verify-token.js'
import { type CookieSecurity, createCookieSecurity } from './http/browser.js'
import type { Guards, Route } from './http/route.js'
import { type Reach, withinReach } from './http/within-reach.js'
import { createGate } from './limits/concurrency.js'
import type { LimitsConfig } from './limits/config.js'
import { createLimits } from './limits/index.js'
import { createSignInAttempts } from './limits/sign-in-attempts.js'

/** Sign-ins that may wait for a hash, and for how long: beyond that it is a flood. */
const MAX_WAITING_SIGN_INS = 128
const MAX_SIGN_IN_WAIT_MS = 10_000

export interface IdentityDeps {
  config: IdentityConfig
  limits: LimitsConfig
  db: Db
  /** The limits' own fail-fast connection. */
  redis: Redis
  /** What keys of limits start with, see `limitPrefix`. */
  prefix: string
  /** How requests reach PostgreSQL; what runs beside them waits as long as it takes. */
  reach: Reach
  log: Log
}

/** Everything about who asks and how much he may. */
export interface Identity {
  guards: Guards
  /** Accounts, roles and keys; without local accounts only what is left. */
  routes: Route[]
  keyring: Keyring
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  /** For every cookie that is set. */
  isSecure: CookieSecurity
  /** Absent without local accounts. */
  signIn?: SignIn
  /** Makes the first admin and begins to watch accounts; rejects where PostgreSQL cannot be asked for the former. */
  start(): Promise<void>
  stop(): void
}

/** Puts the parts together. It imports keys and computes one hash; it asks neither server anything yet. */
export async function createIdentity({
  config,
  limits,
  db,
  redis,
  prefix,
  reach,
  log,
}: IdentityDeps): Promise<Identity> {
  const keyring = await createKeyring(config)
  const local = config.localAccounts
    ? await createLocal(config, keyring, createAccounts(db), reach, log)
    : undefined
  const overrides = local?.overrides ?? noOverrides
  if (local !== undefined && config.jwksUrl !== undefined)
    log.warn(
      'local accounts share their names with the issuer: whoever registers a name here books and cancels as that user',
    )
  const onError = (err: unknown): void =>
    log.warn({ err }, 'keys of the issuer cannot be renewed, the old ones serve')
  const remoteKeys = config.jwksUrl && createRemoteKeys({ url: config.jwksUrl, onError })
  const verifyToken = createTokenVerifier({
    config,
    keyring,
    log,
    ...(remoteKeys !== undefined && { remoteKeys }),
  })

  const gate = createGate({
    running: config.hashConcurrency,
    waiting: MAX_WAITING_SIGN_INS,
    waitMs: MAX_SIGN_IN_WAIT_MS,
  })
  const attempts = createSignInAttempts({ redis, prefix, config: limits, gate })
  const allLimits = createLimits({ redis, prefix, config: limits, attempts, log })
  const authenticate = createAuthenticate({
    verifyToken,
    overrides,
    countRefused: allLimits.general,
  })
  const isSecure = createCookieSecurity(config.cookies)
  const identity: Identity = {
    guards: { authenticate, limits: allLimits },
    routes: keyRoutes(keyring),
    keyring,
    verifyToken,
    overrides,
    isSecure,
    async start() {
      await local?.makeFirstAdmin()
      await overrides.start()
    },
    stop: () => overrides.stop(),
  }
  if (local === undefined) return identity

  const accounts = withinReach(local.accounts, reach)
  const { passwords } = local
  const signIn = createSignIn({ accounts, passwords, attempts })
  const sessions = createSessions(withinReach(createRefreshTokens(db), reach), local.refreshKey)
  const issueToken = createTokenIssuer(keyring, config)
  const refreshCookie = createRefreshCookie(isSecure)
  const routes = [
    ...accountRoutes({ signIn, sessions, issueToken, refreshCookie, limits: allLimits, overrides }),
    ...userRoutes({ accounts, overrides }),
    ...identity.routes,
  ]
  return { ...identity, routes, signIn }
}

interface LocalAccounts {
  accounts: Accounts
  passwords: Passwords
  overrides: AccountOverrides
  refreshKey: Uint8Array
  makeFirstAdmin(): Promise<void>
}

async function createLocal(
  { firstAdmin }: IdentityConfig,
  { refresh: refreshKey }: Keyring,
  accounts: Accounts,
  reach: Reach,
  log: Log,
): Promise<LocalAccounts> {
  if (refreshKey === undefined)
    throw new Error('Local accounts need JWT_SECRET or JWT_PRIVATE_KEYS')
  const passwords = await createPasswords()
  return {
    accounts,
    refreshKey,
    passwords,
    overrides: createAccountOverrides({ accounts, reach, log }),
    async makeFirstAdmin() {
      if (firstAdmin !== undefined) await ensureFirstAdmin({ accounts, passwords, log }, firstAdmin)
    },
  }
}
