import { and, eq, gt, inArray, sql } from 'drizzle-orm'
import type { AccountRole } from './accounts.js'
import type { Db } from './client.js'
import { refreshTokens, users } from './schema.js'

/** Most outdated rows that one sign-in clears away. */
const PRUNE_AT_ONCE = 20

/** Whose family it is, as the account stands, and until when it may be exchanged. */
export interface RefreshFamily {
  userId: string
  role: AccountRole
  expiresAt: Date
}

/**
 * One-time refresh tokens, known by their hash alone. All that come from one sign-in are a family, and a family has
 * one row: the token that is good now. An exchange swaps its hash, so of two exchanges of one token exactly one
 * finds it, and a token whose family lives on without it has been used before.
 */
export interface RefreshTokens {
  start(familyId: string, userId: string, tokenHash: string, lifetimeMs: number): Promise<void>
  /** Swaps a good token for its successor. @returns `undefined` where it is spent, unknown, too old or shut out */
  exchange(tokenHash: string, successorHash: string): Promise<RefreshFamily | undefined>
  endFamily(familyId: string): Promise<void>
}

export function createRefreshTokens(db: Db): RefreshTokens {
  return {
    async start(familyId, userId, tokenHash, lifetimeMs) {
      const expiresAt = sql`now() + ${lifetimeMs} * interval '1 millisecond'`
      await db.insert(refreshTokens).values({ tokenHash, familyId, userId, expiresAt })
      const outdated = db
        .select({ tokenHash: refreshTokens.tokenHash })
        .from(refreshTokens)
        .where(sql`${refreshTokens.expiresAt} < now()`)
        .limit(PRUNE_AT_ONCE)
        .for('update', { skipLocked: true })
      await db.delete(refreshTokens).where(inArray(refreshTokens.tokenHash, outdated))
    },
    async exchange(tokenHash, successorHash) {
      const rows = await db
        .update(refreshTokens)
        .set({ tokenHash: successorHash })
        .from(users)
        .where(
          and(
            eq(refreshTokens.tokenHash, tokenHash),
            gt(refreshTokens.expiresAt, sql`now()`),
            eq(users.userId, refreshTokens.userId),
            eq(users.disabled, false),
          ),
        )
        .returning({ userId: users.userId, role: users.role, expiresAt: refreshTokens.expiresAt })
      return rows[0]
    },
    async endFamily(familyId) {
      await db.delete(refreshTokens).where(eq(refreshTokens.familyId, familyId))
    },
  }
}
