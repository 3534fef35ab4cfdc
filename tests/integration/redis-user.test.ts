import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { openStream } from '../stack/event-stream.ts'
import { startReceiver } from '../stack/receiver.ts'
import { createRestrictedUser, rulesFor } from '../stack/redis/user.ts'
import { type System, startSystem } from '../stack/system.ts'

// The contract suite uses these rules as well (project "client" in vitest.config.ts). A suite fails
// if Redis has refused something to its system.

let system: System
let redis: Redis
let organizer: { token: string }

beforeAll(async () => {
  system = await startSystem({ apis: 2, workers: 2, notifiers: 1, restrictedUser: true })
  redis = new Redis(system.redisUrl)
  organizer = { token: await system.token('olga', 'organizer') }
})
afterAll(async () => {
  redis?.disconnect()
  await system?.stop()
})

const as = async (userId: string) => ({ token: await system.token(userId) })

it('sells, holds, streams and delivers changes with the rules of deploy/redis', async () => {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const webhook = { url: receiver.url, eventIds: [1] }
  expect((await system.api.post('/webhooks', webhook, organizer)).status).toBe(201)
  const event = { eventId: 1, totalTickets: 2, holdSeconds: 5, offerSeconds: 5 }
  expect((await system.api.post('/events', event, organizer)).status).toBe(201)
  const stream = await openStream(system.apis[0]?.url as string, '/events/1/stream')
  onTestFinished(() => stream.close())

  for (const user of ['ann', 'bob', 'cid'])
    expect((await system.api.post('/book', { eventId: 1 }, await as(user))).status).toBe(200)
  expect((await system.api.post('/confirm', { eventId: 1 }, await as('ann'))).status).toBe(200)
  // Bob's hold lapses, and Cid gets an offer, which also lapses.
  const isOver = () =>
    stream.events.some(
      ({ event, data }) =>
        event === 'status' && data.availableTickets === 1 && data.waitingListCount === 0,
    )
  expect(await until(isOver, { timeoutMs: 30_000 })).toBe(true)

  const changes = await system.api.get('/events/1/changes?after=0', organizer)
  await receiver.waitFor(() => receiver.numbersOf(1).length === changes.body.changes.length, 30_000)
})

it('brings accepted jobs back after a loss with the rules of deploy/redis', async () => {
  await system.api.post('/initialize', { eventId: 2, totalTickets: 1 }, organizer)
  const headers = { prefer: 'respond-async' }
  const dan = await as('dan')
  for (const worker of system.workers) worker.pause()
  const accepted = await system.api.post('/book', { eventId: 2 }, { ...dan, headers })
  expect(accepted.status).toBe(202)

  await redis.del(await redis.keys(`${system.keyPrefix}*`))
  for (const worker of system.workers) worker.resume()

  const job = () => system.api.get(accepted.body.statusUrl, dan)
  expect(
    await until(async () => (await job()).body.outcome === 'booked', { timeoutMs: 30_000 }),
  ).toBe(true)
  // A process that has not checked Redis since the loss notices it with its next command. It then
  // refuses commands until it has checked that the accepted jobs are back.
  const fay = await as('fay')
  const isDecided = async () => (await system.api.post('/book', { eventId: 2 }, fay)).status === 200
  expect(await until(isDecided, { timeoutMs: 30_000 })).toBe(true)
  const isReady = async () => (await system.api.get('/readyz')).status === 200
  expect(await until(isReady, { timeoutMs: 30_000 })).toBe(true)
})

it('gives a job of a killed worker to another one with the rules of deploy/redis', async () => {
  await system.api.post('/initialize', { eventId: 3, totalTickets: 1 }, organizer)
  for (const worker of system.workers) worker.pause()
  const answer = system.api.post('/book', { eventId: 3 }, await as('eve'))
  await system.workers[0]?.kill()
  system.workers[1]?.resume()

  expect((await answer).body.message).toBe('Ticket booked')
})

it.each([['status'], ['verify'], ['reconcile', '--apply'], ['event', '1'], ['drain']])(
  'runs `ops %s` with the rules of deploy/redis',
  async (...args) => {
    const run = await runOps(args, system.env)

    expect(run.exitCode, run.stdout + run.stderr).toBe(0)
  },
)

it('lets the user of deploy/redis neither see nor change other keys', async () => {
  const keyPrefix = `${system.keyPrefix}-own`
  const user = await createRestrictedUser(system.redisUrl, keyPrefix)
  const restricted = new Redis(user.url)
  onTestFinished(async () => {
    restricted.disconnect()
    await user.remove()
  })
  await restricted.set(`${keyPrefix}{s0}:ready`, '1')
  await restricted.del(`${keyPrefix}{s0}:ready`)
  for (const command of [
    ['GET', 'other'],
    ['SET', `${system.keyPrefix}{s0}:ready`, '1'],
    ['PUBLISH', `${system.keyPrefix}{s0}:changes`, '1'],
    ['EVAL', 'return redis.call("GET", "other")', '0'],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['CONFIG', 'GET', 'requirepass'],
    ['ACL', 'LIST'],
    ['MONITOR'],
    ['SHUTDOWN'],
  ] as [string, ...string[]][])
    await expect(restricted.call(...command)).rejects.toThrow(/NOPERM|can't access/)
})

it('names each rule of deploy/redis once, and gives no category', () => {
  const rules = rulesFor('tickets')

  expect(new Set(rules).size).toBe(rules.length)
  expect(rules.filter((rule) => rule.includes('@') || rule === '~*' || rule === '&*')).toEqual([])
})
