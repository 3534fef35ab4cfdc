import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import { AppError, createLoader, every, type Log, type Loop } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { Principal, TokenOrigin } from '../http/principal.js'
import type { Reach } from '../http/within-reach.js'

/** Between two looks at what changed. With the reply's own time it keeps a change from being felt after 1 s. */
const POLL_EVERY_MS = 500
/** A change becomes visible when it commits, a little after the time that it carries. */
const OVERLAP_MS = 10_000
/** How long an answer about somebody who claims more than `user` may serve again. */
const STAFF_REUSE_MS = 400

/**
 * What local accounts change about a verified token. The account's row decides its role, whether it
 * is disabled, and whether its earlier tokens have ended. A token of another issuer stays as it is,
 * because the local account of that name is not the issuer's.
 *
 * Bookings must not ask PostgreSQL for that. A token with the role `user` is wrong only if the
 * privileges of the account ever changed. Those accounts are few: they are held in memory and read
 * every 500 ms. A token with a higher role is checked against the account's row, many of them in
 * one query.
 */
export interface AccountOverrides {
  /** Loads what is known and keeps it up to date. Where PostgreSQL is away it goes on trying. */
  start(): Promise<void>
  stop(): void
  /**
   * @returns the principal as the account's row has it; the given one if there is no such account
   * or the token is another issuer's; `undefined` if the account is disabled or the token has ended
   * @throws AppError `unavailable` if that cannot be known
   */
  apply(principal: Principal): Principal | undefined | Promise<Principal | undefined>
  /**
   * Checks a credential that only a local account can have, such as a cookie of the dashboard.
   * @returns the account with its present role, at most 0.5 s old; `undefined` if there is no such
   * account, it is disabled, or the credential has ended
   */
  current(userId: string, origin: TokenOrigin): Promise<Principal | undefined>
  /** Tells of a change made by this process, so that it is felt here at once. */
  changed(privileges: AccountPrivileges): void
}

export interface AccountOverridesDeps {
  accounts: Pick<Accounts, 'findPrivileges' | 'findChangedPrivileges'>
  reach: Reach
  log: Log
  nowMs?: () => number
}

/** For installations without local accounts: tokens stand as they are. */
export const noOverrides: AccountOverrides = {
  start: async () => undefined,
  stop: () => undefined,
  apply: (principal) => principal,
  current: async () => undefined,
  changed: () => undefined,
}

export function createAccountOverrides({
  accounts,
  reach,
  log,
  nowMs = () => performance.now(),
}: AccountOverridesDeps): AccountOverrides {
  const overrides = new Map<string, AccountPrivileges>()
  const answers = new LRUCache<string, { row: AccountPrivileges | undefined; goodUntil: number }>({
    max: 1000,
  })
  let polling: Loop | undefined
  let newest: Date | undefined
  let failing = false
  const loadRow = createLoader({
    query: async (userIds: string[]) =>
      new Map((await accounts.findPrivileges(userIds)).map((row) => [row.userId, row])),
    timeoutMs: reach.timeoutMs,
    onTimeout: tooSlow,
  })

  async function look(): Promise<void> {
    const after = newest === undefined ? undefined : new Date(newest.getTime() - OVERLAP_MS)
    for (const { changedAt, ...row } of await accounts.findChangedPrivileges(after)) {
      overrides.set(row.userId, row)
      if (newest === undefined || changedAt > newest) newest = changedAt
    }
    newest ??= new Date(0)
    if (failing) log.info('account changes are seen again')
    failing = false
  }

  function onError(err: unknown): void {
    if (!failing) log.warn({ err }, 'account changes cannot be seen, the last known ones count')
    failing = true
  }

  async function rowOf(userId: string): Promise<AccountPrivileges | undefined> {
    const known = answers.get(userId)
    if (known !== undefined && nowMs() < known.goodUntil) return known.row
    if (!reach.availability.postgres()) return cannotCheck()
    const row = await loadRow(userId).catch(cannotCheck)
    answers.set(userId, { row, goodUntil: nowMs() + STAFF_REUSE_MS })
    return row
  }

  return {
    start() {
      polling ??= every(POLL_EVERY_MS, look, { onError })
      return polling.runNow()
    },
    stop: () => void polling?.stop(),
    apply(principal) {
      if (principal.external) return principal
      if (principal.role === 'user') {
        if (newest === undefined) return cannotCheck()
        return withRow(principal, overrides.get(principal.userId))
      }
      return rowOf(principal.userId).then((row) => withRow(principal, row))
    },
    async current(userId, origin) {
      const row = await rowOf(userId)
      return row === undefined ? undefined : withRow({ userId, role: row.role, origin }, row)
    },
    changed(privileges) {
      overrides.set(privileges.userId, privileges)
      answers.delete(privileges.userId)
    },
  }
}

function tooSlow(): never {
  throw new Error('looking up accounts took too long')
}

function withRow(principal: Principal, row: AccountPrivileges | undefined): Principal | undefined {
  if (row === undefined) return principal
  if (row.disabled || hasEnded(principal.origin ?? {}, row)) return undefined
  return row.role === principal.role ? principal : { ...principal, role: row.role }
}

/**
 * True if the password was changed or the account disabled after a token or cookie was given out.
 */
function hasEnded(
  { generation, familyId, issuedAtS }: TokenOrigin,
  account: AccountPrivileges,
): boolean {
  if (account.generation === 0) return false
  if (familyId !== undefined && familyId === account.keptFamilyId) return false
  if (generation !== undefined) return generation !== account.generation
  // An earlier release made it, or somebody else who has the secret. Its time is in whole seconds,
  // so a token of the same second counts as older.
  const since = account.generationSince?.getTime() ?? Number.POSITIVE_INFINITY
  return issuedAtS === undefined || issuedAtS * 1000 <= since
}

function cannotCheck(cause?: unknown): never {
  const message = 'Your account cannot be checked right now, please try again in a moment.'
  throw new AppError('unavailable', message, { cause, headers: { 'Retry-After': '1' } })
}
