/**
 * The fastest way without a queue: Fastify, and one call of a database function for each booking.
 */
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import fastify, { type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { answers, type PeerOutcome, readSettings } from '../settings.ts'

const settings = readSettings(process.env)
const pool = new pg.Pool({
  connectionString: settings.databaseUrl,
  max: settings.poolSize,
  idleTimeoutMillis: 0,
})
const app = fastify({ logger: false, bodyLimit: 16_384, keepAliveTimeout: 120_000 })

await app.register(fastifyJwt, { secret: settings.jwtSecret, verify: { algorithms: ['HS256'] } })
app.addHook('onRequest', async (request, reply) => {
  try {
    await request.jwtVerify()
  } catch {
    return reply.code(401).send({ message: 'Please sign in' })
  }
})
const callerOf = (request: FastifyRequest): string => (request.user as { sub: string }).sub
await app.register(fastifyRateLimit, {
  max: settings.rateLimit,
  timeWindow: settings.rateWindowMs,
  redis: new Redis(settings.redisUrl),
  nameSpace: `${settings.keyPrefix}:limit:`,
  enableDraftSpec: true,
  keyGenerator: callerOf,
})

const schema = {
  body: {
    type: 'object',
    required: ['eventId'],
    additionalProperties: false,
    properties: {
      eventId: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
      userId: { type: 'string', minLength: 1, maxLength: 128 },
    },
  },
  response: { 200: { type: 'object', properties: { message: { type: 'string' } } } },
}

/** Outcomes that the function raises as errors. */
const raised: Record<string, PeerOutcome> = {
  '23505': 'already_booked',
  P0002: 'booking_not_found',
}

async function call(
  name: 'book' | 'cancel',
  eventId: number,
  userId: string,
): Promise<PeerOutcome> {
  try {
    const text = `SELECT ${name}($1, $2) AS outcome`
    const { rows } = await pool.query<{ outcome: PeerOutcome }>({
      name,
      text,
      values: [eventId, userId],
    })
    return rows[0]?.outcome as PeerOutcome
  } catch (error) {
    const outcome = raised[(error as { code?: string }).code ?? '']
    if (outcome === undefined) throw error
    return outcome
  }
}

for (const name of ['book', 'cancel'] as const) {
  app.post<{ Body: { eventId: number; userId?: string } }>(
    `/${name}`,
    { schema },
    async (request, reply) => {
      const caller = callerOf(request)
      const { eventId, userId = caller } = request.body
      if (userId !== caller) return reply.code(403).send({ message: 'That is somebody else' })
      const answer = answers[await call(name, eventId, userId)]
      return reply.code(answer.status).send(answer.body)
    },
  )
}

await app.listen({ port: settings.port, host: '127.0.0.1', backlog: 4096 })
console.log('{"msg":"ready"}')
process.on('SIGTERM', () => process.exit(0))
