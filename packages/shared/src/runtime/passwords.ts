/**
 * Password hashes. Import them from `@ticket-line/shared/passwords`: the index leaves them out,
 * because they load a native module that few processes need.
 */
import { randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'

/**
 * Parameters that OWASP recommends for argon2id, the default algorithm of the package: 19 MiB, two
 * passes, one lane.
 */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/**
 * Hashes and verifies passwords with argon2id. Each call occupies a thread of Node's pool for about
 * 20 ms, so callers need a concurrency limit.
 */
export interface Passwords {
  /** @returns a PHC string */
  hash(password: string): Promise<string>
  /**
   * Checks a password. It takes the same time whether or not the account exists, so that the time
   * does not show which is the case.
   *
   * @param passwordHash undefined if the account does not exist
   */
  verify(passwordHash: string | undefined, password: string): Promise<boolean>
}

/** Hashes a password, for callers that do not verify any. @returns a PHC string */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

/**
 * Creates `Passwords`. It computes one dummy hash first. If an account does not exist, `verify`
 * compares the password with this hash.
 */
export async function createPasswords(): Promise<Passwords> {
  const dummyHash = await hash(randomBytes(32), COST)
  return {
    hash: hashPassword,
    async verify(passwordHash, password) {
      const matches = await verify(passwordHash ?? dummyHash, password)
      return matches && passwordHash !== undefined
    },
  }
}
