import { availableParallelism } from 'node:os'
import { ConfigError, type EnvReader, isUserId } from '@ticket-line/shared'
import { EXAMPLE_SECRET } from '../auth/config.js'
import { guessesLog10 } from '../auth/strength.js'
import { isCommonPassword, isPassword } from './passwords.js'

/**
 * Minimum number of guesses for the admin's password, as a power of ten. It is lower than that of a
 * secret: failed sign-ins are limited, but guesses of a secret can be tested offline.
 */
const MIN_PASSWORD_GUESSES = 8

export interface AccountsConfig {
  /**
   * The account of `ADMIN_USER` and `ADMIN_PASSWORD`. It is created at start if it does not exist.
   */
  firstAdmin?: { userId: string; password: string }
  /** Concurrent password hashes. Each one uses a thread of Node's pool and 19 MiB. */
  hashConcurrency: number
}

/**
 * Reads `ADMIN_USER`, `ADMIN_PASSWORD` and `HASH_CONCURRENCY`.
 *
 * @param localAccounts if false, the first admin is not read
 * @throws ConfigError with one line for the operator
 */
export function readAccountsConfig(
  env: EnvReader,
  { production, localAccounts }: { production: boolean; localAccounts: boolean },
): AccountsConfig {
  const hashConcurrency = env.integer('HASH_CONCURRENCY', defaultHashConcurrency(), {
    min: 1,
    max: 64,
  })
  const firstAdmin = localAccounts ? readFirstAdmin(env, production) : undefined
  return firstAdmin === undefined ? { hashConcurrency } : { hashConcurrency, firstAdmin }
}

/**
 * Half of the cores, so that a flood of sign-ins leaves the others to bookings. At most 3, because
 * Node's pool has 4 threads.
 */
function defaultHashConcurrency(): number {
  return Math.min(3, Math.max(1, Math.floor(availableParallelism() / 2)))
}

function readFirstAdmin(env: EnvReader, production: boolean): AccountsConfig['firstAdmin'] {
  const userId = env.optional('ADMIN_USER')
  const password = env.optional('ADMIN_PASSWORD')
  if (userId === undefined && password === undefined) return undefined
  if (userId === undefined || password === undefined) {
    throw new ConfigError('ADMIN_USER and ADMIN_PASSWORD must be set together')
  }
  if (!isUserId(userId)) {
    throw new ConfigError('ADMIN_USER must have 1 to 128 characters and no control characters')
  }
  if (!isPassword(password)) throw new ConfigError('ADMIN_PASSWORD must have 8 to 128 characters')
  if (production) refuseWeakPassword(userId, password)
  return { userId, password }
}

function refuseWeakPassword(userId: string, password: string): void {
  const plain = password.trim().toLowerCase()
  if (
    isCommonPassword(password) ||
    isCommonPassword(plain) ||
    EXAMPLE_SECRET.test(password) ||
    plain === userId.trim().toLowerCase()
  ) {
    throw new ConfigError('ADMIN_PASSWORD is a default or common password: choose one of your own')
  }
  const hints = [
    userId,
    'ticket',
    'tickets',
    'line',
    'ticket-line',
    'ticketline',
    'admin',
    'administrator',
    'booking',
  ]
  if (guessesLog10(password, hints) < MIN_PASSWORD_GUESSES) {
    throw new ConfigError(
      'ADMIN_PASSWORD is easy to guess: choose a longer one, for example four random words',
    )
  }
}
