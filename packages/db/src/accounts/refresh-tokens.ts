import type { Role } from '@ticket-line/shared'
import { and, eq, gt, inArray, or, sql } from 'drizzle-orm'
import type { Db } from '../client.js'
import { refreshTokens, users } from '../schema.js'

/** Most outdated rows that one sign-in clears away. */
const PRUNE_AT_ONCE = 20
/** Sign-ins that an account has at once. One more ends the oldest. */
export const MAX_FAMILIES = 50

/** The account of a family as it is now, and until when the family's token may be exchanged. */
export interface RefreshFamily {
  userId: string
  role: Role
  generation: number
  expiresAt: Date
}

export interface NewFamily {
  familyId: string
  userId: string
  /** Generation of the account when its password was checked. */
  generation: number
  tokenHash: string
  lifetimeMs: number
}

/**
 * One-time refresh tokens, known by their hash alone. All that come from one sign-in are a family, and a family has
 * one row: the token that is good now. An exchange swaps its hash, so of two exchanges of one token exactly one
 * finds it, and a token whose family lives on without it has been used before.
 */
export interface RefreshTokens {
  /**
   * Starts a family, and ends the oldest ones of the account beyond {@link MAX_FAMILIES}.
   * @returns false if the account was disabled, or its password changed, since the password was
   * checked
   */
  start(family: NewFamily): Promise<boolean>
  /**
   * Swaps a good token for its successor.
   *
   * @returns `undefined` if it is spent, unknown, too old or its account disabled
   */
  exchange(tokenHash: string, successorHash: string): Promise<RefreshFamily | undefined>
  endFamily(familyId: string): Promise<void>
}

export function createRefreshTokens(db: Db): RefreshTokens {
  return {
    async start({ familyId, userId, generation, tokenHash, lifetimeMs }) {
      // FOR SHARE waits for a password change that is under way, and then sees its generation. A
      // later change waits for this row and removes it.
      const { rowCount } = await db.execute(sql`
        INSERT INTO ${refreshTokens} (token_hash, family_id, user_id, expires_at)
        SELECT ${tokenHash}, ${familyId}::uuid, user_id, now() + ${lifetimeMs} * interval '1 millisecond'
        FROM ${users} WHERE user_id = ${userId} AND generation = ${generation} AND NOT disabled
        FOR SHARE`)
      if (rowCount !== 1) return false
      const outdated = db
        .select({ tokenHash: refreshTokens.tokenHash })
        .from(refreshTokens)
        .where(sql`${refreshTokens.expiresAt} < now()`)
        .limit(PRUNE_AT_ONCE)
        .for('update', { skipLocked: true })
      // The rows that stay are not locked: an exchange of one of them need not wait.
      const surplus = db
        .select({ tokenHash: refreshTokens.tokenHash })
        .from(refreshTokens)
        .where(
          sql`${refreshTokens.tokenHash} IN (
            SELECT token_hash FROM ${refreshTokens} WHERE user_id = ${userId}
            ORDER BY created_at DESC OFFSET ${MAX_FAMILIES})`,
        )
        .for('update', { skipLocked: true })
      await db
        .delete(refreshTokens)
        .where(
          or(inArray(refreshTokens.tokenHash, outdated), inArray(refreshTokens.tokenHash, surplus)),
        )
      return true
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
        .returning({
          userId: users.userId,
          role: users.role,
          generation: users.generation,
          expiresAt: refreshTokens.expiresAt,
        })
      return rows[0]
    },
    async endFamily(familyId) {
      await db.delete(refreshTokens).where(eq(refreshTokens.familyId, familyId))
    },
  }
}
