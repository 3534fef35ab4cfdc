import {
  type Accounts,
  type CommitProgress,
  createAccounts,
  createRefreshTokens,
  type Database,
  type Db,
  type RefreshTokens,
} from '@ticket-line/db'
import type { Log } from '@ticket-line/shared'
import { createPasswords, type Passwords } from '@ticket-line/shared/passwords'
import type { Redis } from 'ioredis'
import { ensureFirstAdmin } from './accounts/first-admin.js'
import { createRefreshCookie } from './accounts/refresh-cookie.js'
import type { AccountDeps } from './accounts/routes.js'
import { createSessions } from './accounts/sessions.js'
import { createSignIn } from './accounts/sign-in.js'
import type { UserDeps } from './accounts/user-routes.js'
import {
  type AccountOverrides,
  createAccountOverrides,
  noOverrides,
} from './auth/account-overrides.js'
import { createAuthenticate } from './auth/authenticate.js'
import { createTokenIssuer } from './auth/issue-token.js'
import { createKeyring, type Keyring } from './auth/keyring.js'
import { createRemoteKeys } from './auth/remote-keys.js'
import { createTokenVerifier, type TokenVerifier } from './auth/verify-token.js'
import type { ApiConfig } from './config.js'
import { type CookieSecurity, createCookieSecurity } from './http/browser.js'
import { callPostgres, changePostgres, type PostgresAccess } from './http/postgres-access.js'
import type { Principal } from './http/principal.js'
import { busy } from './http/problem.js'
import type { Guards } from './http/route.js'
import { createKeyStore, createKnownKeys, type KnownKeys } from './keys/known-keys.js'
import { createFairLimit } from './limits/concurrency.js'
import { createLimits } from './limits/index.js'
import { createSignInAttempts } from './limits/sign-in-attempts.js'
import type { Metrics } from './operations/metrics.js'

/** Maximum number of sign-ins that are queued for a password hash. More than that are a flood. */
const MAX_QUEUED_SIGN_INS = 128
/** How long a sign-in may be queued, ms. */
const MAX_SIGN_IN_QUEUED_MS = 10_000
const RETRY_SIGN_IN_AFTER_S = 2

export interface IdentityDeps {
  config: Pick<ApiConfig, 'auth' | 'accounts' | 'cookies' | 'limits'>
  database: Pick<Database, 'db' | 'pool'>
  /** The fail-fast connection of the rate limits. */
  redis: Redis
  /** Prefix of the keys of rate limits, see `limitPrefix`. */
  prefix: string
  postgres: PostgresAccess
  metrics: Pick<Metrics, 'keyReads' | 'watchKeys'>
  log: Log
}

/** The parts that authenticate callers and limit their requests. */
export interface Identity {
  guards: Guards
  /** For the routes of local accounts; absent without local accounts. */
  accounts?: AccountDeps & UserDeps
  keyring: Keyring
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  knownKeys: KnownKeys
  /**
   * Checks the caller of a request again, some time after its start.
   *
   * @returns the caller with their present role; undefined if they are refused now
   */
  recheck(principal: Principal): Principal | undefined | Promise<Principal | undefined>
  /** Calls a listener with the id of each user whose requests may have to be checked again. */
  onChange(listener: (userId: string) => void): void
  isSecure: CookieSecurity
  /**
   * Creates the first admin, and starts to poll for changes of accounts and API keys. Rejects if
   * PostgreSQL cannot be reached to create the admin.
   */
  start(): Promise<void>
  stop(): void
}

/** Connects the parts. It imports keys and computes one password hash, but calls no server. */
export async function wireIdentity({
  config,
  database: { db, pool },
  redis,
  prefix,
  postgres,
  metrics,
  log,
}: IdentityDeps): Promise<Identity> {
  const { auth } = config
  const keyring = await createKeyring(auth)
  const local = auth.localAccounts ? await wireLocalAccounts(db, postgres, log) : undefined
  const overrides = local?.overrides ?? noOverrides
  if (local !== undefined && auth.jwksUrl !== undefined)
    log.warn(
      'local accounts and the issuer of JWT_JWKS_URL share one set of user ids: whoever registers an id here can book and cancel for the user with that id at the issuer',
    )
  const onError = (err: unknown): void =>
    log.warn({ err }, 'the keys of JWT_JWKS_URL cannot be fetched; the last known ones apply')
  const remoteKeys = auth.jwksUrl && createRemoteKeys({ url: auth.jwksUrl, onError })
  const verifyToken = createTokenVerifier({
    config: auth,
    keyring,
    log,
    ...(remoteKeys !== undefined && { remoteKeys }),
  })

  const concurrency = createFairLimit({
    running: config.accounts.hashConcurrency,
    queued: MAX_QUEUED_SIGN_INS,
    maxQueuedMs: MAX_SIGN_IN_QUEUED_MS,
    refusal: () =>
      busy(
        'Too many people are signing in right now. Please try again.',
        'password_checks',
        RETRY_SIGN_IN_AFTER_S,
      ),
  })
  const attempts = createSignInAttempts({ redis, prefix, config: config.limits, concurrency })
  const limits = createLimits({ redis, prefix, config: config.limits, attempts, log })
  const knownKeys = createKnownKeys({
    store: createKeyStore(pool),
    overrides,
    postgres,
    maxRequestsPerMinute: config.limits.keyRequestsPerMinute,
    onRead: (count) => metrics.keyReads.inc(count),
    log,
  })
  metrics.watchKeys(knownKeys)
  const authenticate = createAuthenticate({
    verifyToken,
    overrides,
    keys: knownKeys,
    countRefused: limits.general,
  })
  const isSecure = createCookieSecurity(config.cookies)
  const identity: Identity = {
    guards: { authenticate, limits },
    keyring,
    verifyToken,
    overrides,
    knownKeys,
    recheck: (principal) =>
      principal.key === undefined
        ? overrides.apply(principal)
        : knownKeys.recheck(principal.key.id),
    onChange(listener) {
      overrides.onChange(listener)
      knownKeys.onDeleted(listener)
    },
    isSecure,
    async start() {
      const { firstAdmin } = config.accounts
      if (local !== undefined && firstAdmin !== undefined)
        await ensureFirstAdmin({ ...local, log }, firstAdmin)
      await Promise.all([overrides.start(), knownKeys.start()])
    },
    stop() {
      overrides.stop()
      knownKeys.stop()
    },
  }
  if (local === undefined) return identity

  if (keyring.refresh === undefined)
    throw new Error('Local accounts need JWT_SECRET or JWT_PRIVATE_KEYS')
  const accounts = createAccountStore(local.accounts, postgres)
  const refreshTokens = createRefreshTokenStore(createRefreshTokens(db), postgres)
  const { passwords } = local
  return {
    ...identity,
    accounts: {
      accounts,
      overrides,
      limits,
      signIn: createSignIn({ accounts, passwords, attempts }),
      sessions: createSessions(refreshTokens, keyring.refresh),
      issueToken: createTokenIssuer(keyring, auth),
      refreshCookie: createRefreshCookie(isSecure),
    },
  }
}

interface LocalAccounts {
  /** Not the store, which refuses calls until PostgreSQL has passed its checks. */
  accounts: Accounts
  passwords: Passwords
  overrides: AccountOverrides
}

async function wireLocalAccounts(
  db: Db,
  postgres: PostgresAccess,
  log: Log,
): Promise<LocalAccounts> {
  const accounts = createAccounts(db)
  const passwords = await createPasswords()
  return {
    accounts,
    passwords,
    overrides: createAccountOverrides({ accounts, postgres, log }),
  }
}

const UNKNOWN_CHANGE =
  'The service lost the connection to its database during this request. The account may have been changed.'
const UNKNOWN_SIGN_IN =
  'The service lost the connection to its database during this request. Please sign in again.'

/** The calls of {@link Accounts} that requests make. */
type AccountStore = Pick<
  Accounts,
  'find' | 'list' | 'create' | 'setPassword' | 'setRole' | 'setDisabled'
>

/**
 * Accounts for requests. If PostgreSQL is unavailable, each call fails with AppError `unavailable`
 * within the timeout, and has no effect. If the connection breaks during COMMIT, it fails with
 * `unknown`.
 */
function createAccountStore(accounts: Accounts, postgres: PostgresAccess): AccountStore {
  const read = <T>(query: () => Promise<T>): Promise<T> => callPostgres(postgres, query)
  const change = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_CHANGE, run)
  return {
    find: (userId) => read(() => accounts.find(userId)),
    list: (page) => read(() => accounts.list(page)),
    create: (account) => change((progress) => accounts.create(account, progress)),
    setPassword: (userId, password) =>
      change((progress) => accounts.setPassword(userId, password, progress)),
    setRole: (userId, role) => change((progress) => accounts.setRole(userId, role, progress)),
    setDisabled: (userId, disabled) =>
      change((progress) => accounts.setDisabled(userId, disabled, progress)),
  }
}

/**
 * Refresh tokens for requests. Calls fail like those of {@link createAccountStore}. So a client
 * whose exchange was refused with `unavailable` can send the same token again.
 */
function createRefreshTokenStore(
  refreshTokens: RefreshTokens,
  postgres: PostgresAccess,
): RefreshTokens {
  const change = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_SIGN_IN, run)
  return {
    start: (family) => change((progress) => refreshTokens.start(family, progress)),
    exchange: (tokenHash, successorHash) =>
      change((progress) => refreshTokens.exchange(tokenHash, successorHash, progress)),
    endFamily: (familyId) => change((progress) => refreshTokens.endFamily(familyId, progress)),
  }
}
