/** The usual way to write such a service: Express, an ORM, and a row lock for each booking. */
import { createSecretKey } from 'node:crypto'
import express, { type NextFunction, type Request, type Response } from 'express'
import { rateLimit } from 'express-rate-limit'
import { Redis } from 'ioredis'
import jwt from 'jsonwebtoken'
import { type RedisReply, RedisStore } from 'rate-limit-redis'
import { z } from 'zod'
import { answers, type PeerOutcome, readSettings } from '../settings.ts'
import { createBooking } from './booking.ts'
import { createModels } from './models.ts'

const settings = readSettings(process.env)
const models = createModels(settings.databaseUrl, settings.poolSize)
const redis = new Redis(settings.redisUrl)
const booking = createBooking(models)

const key = createSecretKey(settings.jwtSecret, 'utf8')
function authenticate(request: Request, response: Response, next: NextFunction): void {
  const [scheme, token] = request.headers.authorization?.split(' ') ?? []
  try {
    if (scheme !== 'Bearer' || token === undefined) throw new Error('no token')
    response.locals['userId'] = jwt.verify(token, key, { algorithms: ['HS256'] }).sub
    next()
  } catch {
    response.status(401).json({ message: 'Please sign in' })
  }
}

const limiter = rateLimit({
  windowMs: settings.rateWindowMs,
  limit: settings.rateLimit,
  standardHeaders: 'draft-7',
  legacyHeaders: false,
  keyGenerator: (_request, response) => response.locals['userId'],
  store: new RedisStore({
    prefix: `${settings.keyPrefix}:limit:`,
    sendCommand: (command: string, ...args: string[]) =>
      redis.call(command, ...args) as Promise<RedisReply>,
  }),
})

const body = z.strictObject({
  eventId: z.int().min(1),
  userId: z.string().min(1).max(128).optional(),
})
function command(decide: (eventId: number, userId: string) => Promise<PeerOutcome>) {
  return async (request: Request, response: Response): Promise<void> => {
    const parsed = body.safeParse(request.body)
    const caller = response.locals['userId'] as string
    if (!parsed.success)
      return void response.status(400).json({ message: 'That is no such request' })
    const { eventId, userId = caller } = parsed.data
    if (userId !== caller)
      return void response.status(403).json({ message: 'That is somebody else' })
    const answer = answers[await decide(eventId, userId)]
    response.status(answer.status).json(answer.body)
  }
}

const app = express()
app.disable('x-powered-by')
// Express would hash every response, and no client here uses the ETag.
app.disable('etag')
app.use(authenticate, limiter, express.json({ limit: '16kb' }))
app.post('/book', command(booking.book))
app.post('/cancel', command(booking.cancel))

await models.sequelize.authenticate()
const server = app.listen(settings.port, '127.0.0.1', 4096, () => console.log('{"msg":"ready"}'))
server.keepAliveTimeout = 120_000
process.on('SIGTERM', () => process.exit(0))
