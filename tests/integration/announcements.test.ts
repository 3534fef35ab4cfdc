import {
  announce,
  createSendReply,
  type FollowAnnouncementsOptions,
  followAnnouncements,
  onOneServer,
} from '@ticket-line/line'
import {
  createLog,
  createReaderRedis,
  type JobPayload,
  type LineLayout,
  oneRedis,
} from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type System, startSystem } from '../stack/system.ts'

let system: System
let layout: LineLayout
let redis: Redis

beforeAll(async () => {
  system = await startSystem()
  layout = { keyPrefix: system.keyPrefix, sharedLines: 0, shards: 1 }
  redis = new Redis(system.redisUrl)
})
afterAll(async () => {
  redis?.disconnect()
  await system?.stop()
})

/** Follows announcements until the test ends. */
function follow(handlers: Partial<FollowAnnouncementsOptions> = {}) {
  const connection = createReaderRedis(oneRedis(system.redisUrl)).on('error', () => undefined)
  const onChange = vi.fn()
  const onListening = vi.fn()
  const announcements = followAnnouncements({
    redis: connection,
    layout,
    onChange,
    onListening,
    ...handlers,
  })
  onTestFinished(() => announcements.close())
  return { connection, announcements, onChange, onListening }
}

const soon = { timeoutMs: 5000 }

describe('announcements', () => {
  it('name each event that a command or a call has changed, with its last change', async () => {
    const { announcements, onChange, onListening } = follow()
    announcements.start()
    await until(async () => onListening.mock.calls.length > 0, soon)
    const token = await system.token('olga', 'organizer')
    const post = (path: string, body: object) => system.api.post(path, body, { token })
    await post('/initialize', { eventId: 1, totalTickets: 1 })
    await post('/initialize', { eventId: 1, totalTickets: 1 })
    await post('/events', { eventId: 2, totalTickets: 3 })
    await post('/book', { eventId: 1 })
    await post('/book', { eventId: 1 })
    await post('/book', { eventId: 2 })
    await until(async () => onChange.mock.calls.length >= 4, soon)
    // The last ticket is two changes. The second booking of the same user changes nothing.
    expect(onChange.mock.calls).toEqual([
      [1, 1],
      [2, 1],
      [1, 3],
      [2, 2],
    ])
  })

  it('are received between start and stop only', async () => {
    const { announcements, onChange, onListening } = follow()
    await announce(redis, layout, new Map([[7, 1]]))
    announcements.start()
    announcements.start()
    await until(async () => onListening.mock.calls.length > 0, soon)
    await announce(
      redis,
      layout,
      new Map([
        [7, 2],
        [8, 3],
      ]),
    )
    await until(async () => onChange.mock.calls.length === 2, soon)
    announcements.stop()
    await announce(redis, layout, new Map([[7, 4]]))
    announcements.start()
    await until(async () => onListening.mock.calls.length > 1, soon)
    await announce(redis, layout, new Map([[7, 5]]))
    await until(async () => onChange.mock.calls.length === 3, soon)
    expect(onChange.mock.calls).toEqual([
      [7, 2],
      [8, 3],
      [7, 5],
    ])
  })

  it('are received again after the connection broke, and the reader learns of it', async () => {
    const { connection, announcements, onChange, onListening } = follow()
    announcements.start()
    await until(async () => onListening.mock.calls.length === 1, soon)
    connection.stream.destroy()
    await until(async () => onListening.mock.calls.length === 2, soon)
    await announce(redis, layout, new Map([[7, 1]]))
    await until(async () => onChange.mock.calls.length > 0, soon)
    expect(onChange.mock.calls).toEqual([[7, 1]])
  })

  it('are ignored if they are malformed', async () => {
    const { announcements, onChange, onListening } = follow()
    announcements.start()
    await until(async () => onListening.mock.calls.length > 0, soon)
    const channel = `${system.keyPrefix}{s0}:changes`
    for (const text of ['', 'x', '1', '1:', ':1', '1:1.5', '9007199254740993:1', '0:1', '1:-1'])
      await redis.publish(channel, text)
    await announce(redis, layout, new Map([[7, 1]]))
    await until(async () => onChange.mock.calls.length > 0, soon)
    expect(onChange.mock.calls).toEqual([[7, 1]])
  })

  it('may be forbidden to a worker, and its replies arrive all the same', async () => {
    const username = `worker-${system.keyPrefix}`
    await redis.call('ACL', 'SETUSER', username, 'on', 'nopass', '~*', '+@all', 'resetchannels')
    onTestFinished(async () => void (await redis.call('ACL', 'DELUSER', username)))
    const url = Object.assign(new URL(system.redisUrl), { username, password: 'any' })
    const restricted = new Redis(url.href)
    onTestFinished(() => restricted.disconnect())
    await expect(announce(restricted, layout, new Map([[7, 1]]))).rejects.toThrow(/NOPERM/)
    const payload: JobPayload = { v: 3, replyTo: 'some-api', acceptedAtMs: 0, commands: [] }
    const reply = { jobId: 'event-7.1', outcomes: [] }
    const send = createSendReply(
      onOneServer(restricted, layout),
      layout,
      createLog('test', 'silent'),
    )
    send('event-7', payload, reply, new Map([[7, 1]]))
    const sent = () => redis.xlen(`${system.keyPrefix}{s0}:replies:some-api`)
    await until(async () => (await sent()) === 1, soon)
  })
})
