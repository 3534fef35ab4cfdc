/** Settings of a peer. */
export interface PeerSettings {
  port: number
  databaseUrl: string
  redisUrl: string
  jwtSecret: string
  /** Prefix of its Redis keys. */
  keyPrefix: string
  /** Requests per user and window. They are counted, but the limit is too high to be reached. */
  rateLimit: number
  rateWindowMs: number
  /** Maximum number of PostgreSQL connections. */
  poolSize: number
}

/** Reads the settings from the environment that the benchmark sets. */
export function readSettings(env: NodeJS.ProcessEnv): PeerSettings {
  const text = (name: string): string => {
    const value = env[name]
    if (value === undefined || value === '') throw new Error(`${name} is not set`)
    return value
  }
  return {
    port: Number(text('PORT')),
    databaseUrl: text('DATABASE_URL'),
    redisUrl: text('REDIS_URL'),
    jwtSecret: text('JWT_SECRET'),
    keyPrefix: text('KEY_PREFIX'),
    rateLimit: Number(text('RATE_LIMIT')),
    rateWindowMs: Number(text('RATE_WINDOW_MS')),
    poolSize: Number(text('POOL_SIZE')),
  }
}

/** The outcomes of both peers. */
export type PeerOutcome =
  | 'booked'
  | 'waiting'
  | 'canceled'
  | 'withdrawn'
  | 'already_booked'
  | 'already_waiting'
  | 'booking_not_found'
  | 'event_not_found'

/** Response of each outcome. Those of successes are the same as the product's. */
export const answers: Record<PeerOutcome, { status: number; body: { message: string } }> = {
  booked: { status: 200, body: { message: 'Ticket booked' } },
  waiting: { status: 200, body: { message: 'Added to waiting list' } },
  canceled: { status: 200, body: { message: 'Booking canceled' } },
  withdrawn: { status: 200, body: { message: 'Removed from waiting list' } },
  already_booked: { status: 409, body: { message: 'You hold a ticket already' } },
  already_waiting: { status: 409, body: { message: 'You are on the waiting list already' } },
  booking_not_found: { status: 404, body: { message: 'There is nothing to cancel' } },
  event_not_found: { status: 404, body: { message: 'There is no such event' } },
}
