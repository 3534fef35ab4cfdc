import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import {
  type Clock,
  createLoader,
  every,
  type Log,
  type Loop,
  type Role,
  systemClock,
} from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { PostgresAccess } from '../http/postgres-access.js'
import type { Principal, TokenOrigin } from '../http/principal.js'
import { unavailable } from '../http/problem.js'

/** Time between two polls, ms. It is short enough for a process to see a change within 1 s. */
const POLL_INTERVAL_MS = 500
/**
 * How far each poll reads back before the newest known change, ms. A change commits a little after
 * its timestamp, so an older change may appear later.
 */
const OVERLAP_MS = 10_000
/** How long the row of an account with a higher role than `user` is reused, ms. */
const ROW_REUSE_MS = 400

/**
 * Applies the local account to a verified token. The account's row decides its role, whether it is
 * disabled, and whether its earlier tokens are revoked. Tokens of another issuer stay as they are,
 * because the local account of that name belongs to another person.
 *
 * A booking must not wait for PostgreSQL here. A token with the role `user` can be outdated only if
 * the privileges of its account have ever changed. There are few such accounts, so each process
 * keeps their rows in memory and polls them every 500 ms. A token with a higher role is checked
 * against the account's row, with one query for all tokens that arrive together.
 */
export interface AccountOverrides {
  /** Starts polling. Resolves after the first poll; if it fails, polling goes on. */
  start(): Promise<void>
  stop(): void
  /**
   * @returns the principal with the role of its account; the given principal if there is no such
   * account or another issuer signed the token; `undefined` if the account is disabled or the token
   * is revoked
   * @throws AppError `unavailable` if the account cannot be read
   */
  apply(principal: Principal): Principal | undefined | Promise<Principal | undefined>
  /**
   * Checks a credential that only a local account can have, such as a cookie of the dashboard.
   *
   * @returns the account with its role, at most 0.5 s old; `undefined` if there is no such account,
   * it is disabled, or the credential is revoked
   * @throws AppError `unavailable` if the account cannot be read
   */
  current(userId: string, origin: TokenOrigin): Promise<Principal | undefined>
  /**
   * The present role of a user, according to the last poll. It makes no query. API keys need it,
   * because they outlive the sign-ins of their owners.
   *
   * @param role returned if the user has no account, or one whose privileges never changed
   * @returns undefined if the account is disabled
   * @throws AppError `unavailable` if no poll has succeeded yet
   */
  roleOf(userId: string, role: Role): Role | undefined
  /** Applies a change that this process made, so that it takes effect here at once. */
  applyLocally(privileges: AccountPrivileges): void
  /**
   * Why a principal that was accepted before would be refused now; undefined if it would not. It
   * makes no query, and goes by what the last poll has found.
   */
  endOf(principal: Principal): PrincipalEnd | undefined
  /** Calls a listener with the id of each account whose privileges have changed. */
  onChange(listener: (userId: string) => void): void
}

/** Why a principal is no longer accepted. `expired`: its token has expired or was revoked. */
export type PrincipalEnd = 'expired' | 'disabled'

export interface AccountOverridesDeps {
  accounts: Pick<Accounts, 'findPrivileges' | 'findChangedPrivileges'>
  postgres: PostgresAccess
  log: Log
  clock?: Clock
}

/** For installations without local accounts: leaves all tokens as they are. */
export const noOverrides: AccountOverrides = {
  start: async () => undefined,
  stop: () => undefined,
  apply: (principal) => principal,
  current: async () => undefined,
  roleOf: (_userId, role) => role,
  applyLocally: () => undefined,
  endOf: () => undefined,
  onChange: () => undefined,
}

export function createAccountOverrides({
  accounts,
  postgres,
  log,
  clock = systemClock,
}: AccountOverridesDeps): AccountOverrides {
  const overrides = new Map<string, AccountPrivileges>()
  const listeners: ((userId: string) => void)[] = []
  const recentRows = new LRUCache<
    string,
    { row: AccountPrivileges | undefined; usableUntilMs: number }
  >({ max: 1000 })
  let polling: Loop | undefined
  let newestChange: Date | undefined
  let failing = false
  const loadRow = createLoader({
    query: async (userIds: string[]) =>
      new Map((await accounts.findPrivileges(userIds)).map((row) => [row.userId, row])),
    timeoutMs: postgres.timeoutMs,
    onTimeout: () => {
      throw new Error('reading accounts took too long')
    },
  })

  async function readChanges(): Promise<void> {
    const after =
      newestChange === undefined ? undefined : new Date(newestChange.getTime() - OVERLAP_MS)
    for (const { changedAt, ...row } of await accounts.findChangedPrivileges(after)) {
      override(row)
      if (newestChange === undefined || changedAt > newestChange) newestChange = changedAt
    }
    newestChange ??= new Date(0)
    if (failing) log.info('can read account changes again')
    failing = false
  }

  /** The polls overlap, so most rows of a poll are known. */
  function override(row: AccountPrivileges): void {
    const known = overrides.get(row.userId)
    overrides.set(row.userId, row)
    if (known?.generation === row.generation && known.disabled === row.disabled) return
    for (const listener of listeners) listener(row.userId)
  }

  function onError(err: unknown): void {
    if (!failing) log.warn({ err }, 'cannot read account changes; the last known ones apply')
    failing = true
  }

  async function rowOf(userId: string): Promise<AccountPrivileges | undefined> {
    const recent = recentRows.get(userId)
    if (recent !== undefined && clock.steadyMs() < recent.usableUntilMs) return recent.row
    if (!postgres.availability.postgres()) return cannotCheck()
    const row = await loadRow(userId).catch(cannotCheck)
    recentRows.set(userId, { row, usableUntilMs: clock.steadyMs() + ROW_REUSE_MS })
    return row
  }

  return {
    start() {
      polling ??= every(POLL_INTERVAL_MS, readChanges, { onError })
      return polling.runNow()
    },
    stop: () => void polling?.stop(),
    apply(principal) {
      if (principal.external) return principal
      if (principal.role === 'user') {
        if (newestChange === undefined) return cannotCheck()
        return withRow(principal, overrides.get(principal.userId))
      }
      return rowOf(principal.userId).then((row) => withRow(principal, row))
    },
    async current(userId, origin) {
      const row = await rowOf(userId)
      return row === undefined ? undefined : withRow({ userId, role: row.role, origin }, row)
    },
    roleOf(userId, role) {
      if (newestChange === undefined) return cannotCheck()
      const row = overrides.get(userId)
      if (row === undefined) return role
      return row.disabled ? undefined : row.role
    },
    applyLocally(privileges) {
      recentRows.delete(privileges.userId)
      override(privileges)
    },
    endOf(principal) {
      const row = principal.external ? undefined : overrides.get(principal.userId)
      if (row === undefined) return undefined
      if (row.disabled) return 'disabled'
      // A key outlives the sign-ins of its owner.
      if (principal.key !== undefined) return undefined
      return isRevoked(principal.origin ?? {}, row) ? 'expired' : undefined
    },
    onChange: (listener) => void listeners.push(listener),
  }
}

function withRow(principal: Principal, row: AccountPrivileges | undefined): Principal | undefined {
  if (row === undefined) return principal
  if (row.disabled || isRevoked(principal.origin ?? {}, row)) return undefined
  return row.role === principal.role ? principal : { ...principal, role: row.role }
}

/**
 * True if the password was changed or the account disabled after the token or cookie was issued.
 */
function isRevoked(
  { generation, familyId, issuedAtS }: TokenOrigin,
  account: AccountPrivileges,
): boolean {
  if (account.generation === 0) return false
  if (familyId !== undefined && familyId === account.keptFamilyId) return false
  if (generation !== undefined) return generation !== account.generation
  // A token without a generation comes from an earlier release, or from another program that knows
  // the secret. Its `iat` is in whole seconds, so a token of the same second counts as older.
  const since = account.generationSince?.getTime() ?? Number.POSITIVE_INFINITY
  return issuedAtS === undefined || issuedAtS * 1000 <= since
}

function cannotCheck(cause?: unknown): never {
  throw unavailable(cause, 'Your account cannot be checked right now. Please try again.')
}
