import type { Role } from '@ticket-line/shared'
import { and, eq, gt, inArray, or, sql } from 'drizzle-orm'
import type { Db } from '../client.js'
import { type CommitProgress, commitDrizzleUnlessLate } from '../commit-unless-late.js'
import { refreshTokens, users } from '../schema.js'

/** Maximum number of expired rows that one sign-in deletes. */
const PRUNE_AT_ONCE = 20
/** Maximum number of sign-ins of an account. A further one ends the oldest. */
const MAX_FAMILIES = 50

/** The current account of a family, and the time until which its token can be exchanged. */
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
 * One-time refresh tokens, of which only hashes are stored. All tokens of one sign-in are a
 * *family*. A family has one row, with the hash of its valid token. An exchange replaces the hash,
 * so only one of two exchanges of a token finds the row.
 *
 * A change whose caller has given up (`progress`) has no effect.
 */
export interface RefreshTokens {
  /**
   * Starts a family, and ends the oldest families of the account beyond `MAX_FAMILIES`.
   *
   * @returns false if the account was disabled, or its password changed, after the password was
   * checked
   */
  start(family: NewFamily, progress?: CommitProgress): Promise<boolean>
  /**
   * Replaces a token with its successor.
   *
   * @returns `undefined` if the token was used before, is unknown or expired, or its account is
   * disabled
   */
  exchange(
    tokenHash: string,
    successorHash: string,
    progress?: CommitProgress,
  ): Promise<RefreshFamily | undefined>
  endFamily(familyId: string, progress?: CommitProgress): Promise<void>
}

export function createRefreshTokens(db: Db): RefreshTokens {
  return {
    start({ familyId, userId, generation, tokenHash, lifetimeMs }, progress) {
      return commitDrizzleUnlessLate(db, progress, async (tx) => {
        // FOR SHARE waits for a password change that is under way, and then sees its generation. A
        // later change waits for this row and deletes it.
        const { rowCount } = await tx.execute(sql`
          INSERT INTO ${refreshTokens} (token_hash, family_id, user_id, expires_at)
          SELECT ${tokenHash}, ${familyId}::uuid, user_id, now() + ${lifetimeMs} * interval '1 millisecond'
          FROM ${users} WHERE user_id = ${userId} AND generation = ${generation} AND NOT disabled
          FOR SHARE`)
        if (rowCount !== 1) return false
        const outdated = tx
          .select({ tokenHash: refreshTokens.tokenHash })
          .from(refreshTokens)
          .where(sql`${refreshTokens.expiresAt} < now()`)
          .limit(PRUNE_AT_ONCE)
          .for('update', { skipLocked: true })
        // Only the rows to delete are locked, so exchanges of the others need not wait.
        const surplus = tx
          .select({ tokenHash: refreshTokens.tokenHash })
          .from(refreshTokens)
          .where(
            sql`${refreshTokens.tokenHash} IN (
              SELECT token_hash FROM ${refreshTokens} WHERE user_id = ${userId}
              ORDER BY created_at DESC OFFSET ${MAX_FAMILIES})`,
          )
          .for('update', { skipLocked: true })
        await tx
          .delete(refreshTokens)
          .where(
            or(
              inArray(refreshTokens.tokenHash, outdated),
              inArray(refreshTokens.tokenHash, surplus),
            ),
          )
        return true
      })
    },
    exchange(tokenHash, successorHash, progress) {
      return commitDrizzleUnlessLate(db, progress, async (tx) => {
        const rows = await tx
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
      })
    },
    endFamily(familyId, progress) {
      return commitDrizzleUnlessLate(db, progress, async (tx) => {
        await tx.delete(refreshTokens).where(eq(refreshTokens.familyId, familyId))
      })
    },
  }
}
