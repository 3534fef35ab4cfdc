import type { Role } from '@ticket-line/shared'
import { and, asc, eq, gt, isNotNull, ne, sql } from 'drizzle-orm'
import type { Db } from '../client.js'
import { type CommitProgress, commitDrizzleUnlessLate } from '../commit-unless-late.js'
import { apiKeys, refreshTokens, users } from '../schema.js'

/** What a local account may do, and which of its tokens and cookies are valid. */
export interface AccountPrivileges {
  userId: string
  role: Role
  disabled: boolean
  /**
   * A change of password increases the generation, and so does disabling the account. Tokens and
   * cookies of an earlier generation are invalid.
   */
  generation: number
  /** When the generation began, by the database's clock; null for the first one. */
  generationSince: Date | null
  /**
   * The sign-in that changed the password. It stays valid although it belongs to an earlier
   * generation.
   */
  keptFamilyId: string | null
}

export interface Account extends AccountPrivileges {
  /** argon2id, PHC string. */
  passwordHash: string
}

/** Privileges of an account that have changed at least once. */
export interface ChangedPrivileges extends AccountPrivileges {
  /** By the database's clock, truncated to milliseconds. */
  changedAt: Date
}

/** An account as admins see it. */
export interface ListedAccount {
  userId: string
  role: Role
  disabled: boolean
  createdAt: Date
}

/** The result of a change of role, or of disabling or enabling an account. */
export type PrivilegeChange =
  | {
      kind: 'changed'
      account: AccountPrivileges
      before: Pick<AccountPrivileges, 'role' | 'disabled'>
    }
  | { kind: 'user_not_found' }
  /** The change would leave no active admin. */
  | { kind: 'last_admin' }

export interface AccountPage {
  /** Only ids that begin with this. */
  prefix: string
  /** Only ids after this one. */
  after: string
  /** Only accounts of this role. */
  role?: Role | undefined
  limit: number
}

export interface NewPassword {
  passwordHash: string
  /** The hash that it replaces. If the account has a different hash by now, nothing changes. */
  replaces?: string | undefined
  /** The sign-in that stays valid. All others end. */
  keptFamilyId?: string | undefined
}

/**
 * Local accounts in PostgreSQL. Each method throws the driver's error if the database fails. A
 * change whose caller has given up (`progress`) has no effect.
 */
export interface Accounts {
  /** @returns false if the id is taken */
  create(
    account: { userId: string; passwordHash: string; role: Role },
    progress?: CommitProgress,
  ): Promise<boolean>
  find(userId: string): Promise<Account | undefined>
  /**
   * Changes the password and ends all other sign-ins of the account.
   *
   * @returns the changed account; `undefined` if it does not exist, or its password is no longer
   * the one to replace
   */
  setPassword(
    userId: string,
    password: NewPassword,
    progress?: CommitProgress,
  ): Promise<AccountPrivileges | undefined>
  setRole(userId: string, role: Role, progress?: CommitProgress): Promise<PrivilegeChange>
  /** Disabling an account ends all its sign-ins. Enabling it again revives none of them. */
  setDisabled(
    userId: string,
    disabled: boolean,
    progress?: CommitProgress,
  ): Promise<PrivilegeChange>
  /** Finds the privileges of these users. Users without a local account are left out. */
  findPrivileges(userIds: string[]): Promise<AccountPrivileges[]>
  /** Finds accounts whose privileges changed after a time, or ever if no time is given. */
  findChangedPrivileges(after?: Date): Promise<ChangedPrivileges[]>
  /** Lists accounts in the byte order of their ids. */
  list(page: AccountPage): Promise<ListedAccount[]>
}

const privileges = {
  userId: users.userId,
  role: users.role,
  disabled: users.disabled,
  generation: users.generation,
  generationSince: users.generationSince,
  keptFamilyId: users.keptFamilyId,
}

/** Columns that make all earlier tokens and cookies invalid, except those of one sign-in. */
function nextGeneration(keptFamilyId: string | null) {
  return { generation: sql`${users.generation} + 1`, generationSince: sql`now()`, keptFamilyId }
}

type Change = { role: Role } | { disabled: boolean }

export function createAccounts(db: Db): Accounts {
  /**
   * Changes privileges unless that removes the last admin. Before a change removes an admin, it
   * locks the rows of all admins, in the order of their ids. If two admins demote each other at the
   * same time, the second change sees the first one.
   */
  function changePrivileges(
    userId: string,
    change: Change,
    progress: CommitProgress | undefined,
  ): Promise<PrivilegeChange> {
    const removesAdmin = 'role' in change ? change.role !== 'admin' : change.disabled
    const disables = 'disabled' in change && change.disabled
    return commitDrizzleUnlessLate(db, progress, async (tx) => {
      if (removesAdmin) {
        const admins = await tx
          .select({ userId: users.userId })
          .from(users)
          .where(sql`${users.role} = 'admin' AND NOT ${users.disabled}`)
          .orderBy(asc(users.userId))
          .for('update')
        if (admins.length === 1 && admins[0]?.userId === userId) return { kind: 'last_admin' }
      }
      const isTheAccount = eq(users.userId, userId)
      const [before] = await tx
        .select({ role: users.role, disabled: users.disabled })
        .from(users)
        .where(isTheAccount)
        .for('update')
      const [account] = await tx
        .update(users)
        .set({ ...change, ...(disables && nextGeneration(null)), privilegesChangedAt: sql`now()` })
        .where(isTheAccount)
        .returning(privileges)
      if (before === undefined || account === undefined) return { kind: 'user_not_found' }
      if (disables) await tx.delete(refreshTokens).where(eq(refreshTokens.userId, userId))
      return { kind: 'changed', account, before }
    })
  }

  return {
    create(account, progress) {
      // An account that is created with a higher role counts as changed, because the API checks
      // tokens with the role `user` against changed accounts only. So does an account whose user
      // created API keys before it existed, because the API checks keys in the same way.
      const { userId, role } = account
      const privilegesChangedAt =
        role === 'user'
          ? sql`CASE WHEN EXISTS (
              SELECT FROM ${apiKeys} WHERE ${apiKeys.userId} = ${userId}
              AND NOT ${apiKeys.external} AND ${apiKeys.deletedAt} IS NULL
            ) THEN now() END`
          : sql`now()`
      return commitDrizzleUnlessLate(db, progress, async (tx) => {
        const rows = await tx
          .insert(users)
          .values({ ...account, privilegesChangedAt })
          .onConflictDoNothing()
          .returning({ userId: users.userId })
        return rows.length === 1
      })
    },
    async find(userId) {
      const rows = await db
        .select({ ...privileges, passwordHash: users.passwordHash })
        .from(users)
        .where(eq(users.userId, userId))
      return rows[0]
    },
    setPassword(userId, { passwordHash, replaces, keptFamilyId }, progress) {
      return commitDrizzleUnlessLate(db, progress, async (tx) => {
        const isTheAccount = eq(users.userId, userId)
        const [account] = await tx
          .update(users)
          .set({
            passwordHash,
            ...nextGeneration(keptFamilyId ?? null),
            privilegesChangedAt: sql`now()`,
          })
          .where(
            replaces === undefined
              ? isTheAccount
              : and(isTheAccount, eq(users.passwordHash, replaces)),
          )
          .returning(privileges)
        if (account === undefined) return undefined
        const ofAccount = eq(refreshTokens.userId, userId)
        await tx
          .delete(refreshTokens)
          .where(
            keptFamilyId === undefined
              ? ofAccount
              : and(ofAccount, ne(refreshTokens.familyId, keptFamilyId)),
          )
        return account
      })
    },
    setRole: (userId, role, progress) => changePrivileges(userId, { role }, progress),
    setDisabled: (userId, disabled, progress) => changePrivileges(userId, { disabled }, progress),
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
    list({ prefix, after, role, limit }) {
      return db
        .select({
          userId: users.userId,
          role: users.role,
          disabled: users.disabled,
          createdAt: users.createdAt,
        })
        .from(users)
        .where(
          and(
            gt(users.userId, after),
            sql`starts_with(${users.userId}, ${prefix})`,
            role && eq(users.role, role),
          ),
        )
        .orderBy(asc(users.userId))
        .limit(limit)
    },
  }
}
