/**
 * Hashes of passwords. Not part of the package's index, since it loads a native module that few
 * processes need: `@ticket-line/shared/passwords`.
 */
import { randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'

/**
 * OWASP's second choice for argon2id, which is the package's default algorithm: 19 MiB, two passes,
 * one lane.
 */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/**
 * argon2id. Each call occupies a thread of Node's pool for some 20 ms, so callers need a
 * concurrency limit.
 */
export interface Passwords {
  /** @returns a PHC string */
  hash(password: string): Promise<string>
  /** Costs the same whether there is a hash to compare with or not. */
  verify(passwordHash: string | undefined, password: string): Promise<boolean>
}

/** Hashes a password, for callers that never verify one. @returns a PHC string */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

/**
 * Takes the time of one hash: it makes the one that `verify` compares with if an account does not
 * exist.
 */
export async function createPasswords(): Promise<Passwords> {
  const nobodys = await hash(randomBytes(32), COST)
  return {
    hash: hashPassword,
    async verify(passwordHash, password) {
      const matches = await verify(passwordHash ?? nobodys, password)
      return matches && passwordHash !== undefined
    },
  }
}
