import { and, eq, gt, isNotNull, sql } from 'drizzle-orm'
import type { Db } from './client.js'
import { refreshTokens, users } from './schema.js'

export type AccountRole = (typeof users.$inferSelect)['role']

/** What a local account may do. */
export interface AccountPrivileges {
  userId: string
  role: AccountRole
  disabled: boolean
}

export interface Account extends AccountPrivileges {
  /** argon2id, PHC string. */
  passwordHash: string
}

/** Privileges that differ from those of a fresh account, or once did. */
export interface ChangedPrivileges extends AccountPrivileges {
  /** By the database's clock, cut to milliseconds. */
  changedAt: Date
}

/** Local accounts in PostgreSQL. Every call throws the driver's error where the database fails. */
export interface Accounts {
  /** @returns false where the id is taken */
  create(account: { userId: string; passwordHash: string; role: AccountRole }): Promise<boolean>
  find(userId: string): Promise<Account | undefined>
  /** @returns false where there is no such account */
  setPasswordHash(userId: string, passwordHash: string): Promise<boolean>
  /** @returns the account as it is now; `undefined` where there is none */
  setRole(userId: string, role: AccountRole): Promise<AccountPrivileges | undefined>
  /** Shutting an account out also ends all its refresh families. @returns as `setRole` */
  setDisabled(userId: string, disabled: boolean): Promise<AccountPrivileges | undefined>
  /** Privileges of those of the ids that are local accounts. */
  findPrivileges(userIds: string[]): Promise<AccountPrivileges[]>
  /** All accounts whose privileges changed after that moment; without one, all whose privileges ever changed. */
  findChangedPrivileges(after?: Date): Promise<ChangedPrivileges[]>
}

const privileges = { userId: users.userId, role: users.role, disabled: users.disabled }

export function createAccounts(db: Db): Accounts {
  return {
    async create(account) {
      // An account that starts above `user` counts as changed: a token that says `user` must not hide it.
      const privilegesChangedAt = account.role === 'user' ? null : sql`now()`
      const rows = await db
        .insert(users)
        .values({ ...account, privilegesChangedAt })
        .onConflictDoNothing()
        .returning({ userId: users.userId })
      return rows.length === 1
    },
    async find(userId) {
      const rows = await db
        .select({ ...privileges, passwordHash: users.passwordHash })
        .from(users)
        .where(eq(users.userId, userId))
      return rows[0]
    },
    async setPasswordHash(userId, passwordHash) {
      const rows = await db
        .update(users)
        .set({ passwordHash })
        .where(eq(users.userId, userId))
        .returning({ userId: users.userId })
      return rows.length === 1
    },
    async setRole(userId, role) {
      const rows = await db
        .update(users)
        .set({ role, privilegesChangedAt: sql`now()` })
        .where(eq(users.userId, userId))
        .returning(privileges)
      return rows[0]
    },
    setDisabled(userId, disabled) {
      return db.transaction(async (tx) => {
        const rows = await tx
          .update(users)
          .set({ disabled, privilegesChangedAt: sql`now()` })
          .where(eq(users.userId, userId))
          .returning(privileges)
        if (disabled) await tx.delete(refreshTokens).where(eq(refreshTokens.userId, userId))
        return rows[0]
      })
    },
    findPrivileges(userIds) {
      return db
        .select(privileges)
        .from(users)
        .where(sql`${users.userId} = ANY(${sql.param(userIds)})`)
    },
    async findChangedPrivileges(after) {
      const changed = isNotNull(users.privilegesChangedAt)
      const rows = await db
        .select({ ...privileges, changedAt: users.privilegesChangedAt })
        .from(users)
        .where(after === undefined ? changed : and(changed, gt(users.privilegesChangedAt, after)))
      return rows.map((row) => ({ ...row, changedAt: row.changedAt as Date }))
    },
  }
}
