import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import {
  type ChangesPage,
  createTicketLine,
  dataOf,
  hasCode,
  type StandingUpdate,
  type StatusUpdate,
  type TicketLine,
  verifyWebhook,
} from '@ticket-line/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { startReceiver } from '../stack/receiver.ts'
import { type System, startSystem } from '../stack/system.ts'

/** Node 20, the oldest that the client supports, if it is on PATH. */
const node20 = (process.env['PATH'] ?? '')
  .split(path.delimiter)
  .map((folder) => path.join(folder, 'node'))
  .filter((file) => existsSync(file))
  .find((file) => spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout.startsWith('v20.'))
if (node20 === undefined) console.log('The test with Node 20 is skipped: it is not on PATH.')

let system: System
let olga: TicketLine
let nextEventId = 100

beforeAll(async () => {
  system = await startSystem({ notifiers: 1 })
  olga = await clientOf('olga', 'organizer')
})
afterAll(() => system?.stop())

async function clientOf(userId: string, role: 'user' | 'organizer' = 'user') {
  const token = await system.token(userId, role)
  return createTicketLine({ baseUrl: system.apis[0]?.url as string, token })
}

async function createEvent(totalTickets: number, settings: object = {}): Promise<number> {
  const { eventId } = await olga.createEvent({ eventId: nextEventId++, totalTickets, ...settings })
  return eventId
}

/** Reads a stream in the background. */
function collect<T>(stream: AsyncIterable<T>) {
  const seen: T[] = []
  const ended = (async () => {
    for await (const item of stream) seen.push(item)
  })()
  // A test that expects an error awaits `ended`. In all others it must not count as unhandled.
  ended.catch(() => undefined)
  const reaches = (fits: (seen: T[]) => boolean) => until(() => fits(seen), { timeoutMs: 10_000 })
  return { seen, ended, reaches }
}

describe('the client of a real system', () => {
  it('waits for a decision that takes longer than a request, and reports the progress', async () => {
    const idle = await startSystem({ workers: 0, env: { RESULT_WAIT_MS: '300' } })
    try {
      const baseUrl = idle.apis[0]?.url as string
      const clientFor = async (userId: string, role: 'user' | 'organizer' = 'user') =>
        createTicketLine({ baseUrl, token: await idle.token(userId, role) })
      await (await clientFor('olga', 'organizer')).createEvent({ eventId: 1, totalTickets: 1 })
      const [ada, bob] = [await clientFor('ada'), await clientFor('bob')]
      let jobId = ''
      const first = ada.book(
        { eventId: 1 },
        {
          onAccepted(id) {
            jobId = id
          },
        },
      )
      expect(await until(() => jobId !== '', { timeoutMs: 10_000 })).toBe(true)
      const ahead: (number | null)[] = []
      const second = bob.book({ eventId: 1 }, { onProgress: (job) => void ahead.push(job.ahead) })
      expect(await until(() => ahead.length > 0, { timeoutMs: 10_000 })).toBe(true)
      expect(ahead[0]).toBe(1)

      await idle.addWorker()

      expect(await first).toMatchObject({ outcome: 'booked', jobId })
      expect(await second).toMatchObject({ outcome: 'waiting', position: 1 })
      expect(await ada.decisionOf(jobId)).toEqual(await first)
      expect(await bob.decisionOf(jobId).catch((error) => error.code)).toBe('job_not_found')
    } finally {
      await idle.stop()
    }
  })

  it('books once while the API is away and comes back', async () => {
    const eventId = await createEvent(5)
    const api = await system.addApi()
    const ada = createTicketLine({ baseUrl: api.url, token: await system.token('ada') })
    await api.kill()
    const booking = ada.book({ eventId })
    await system.addApi({ PORT: new URL(api.url).port })
    expect(await booking).toMatchObject({ outcome: 'booked', userId: 'ada' })
    const refusal = await ada.book({ eventId }).catch((error: unknown) => error)
    expect(hasCode(refusal, 'already_booked')).toBe(true)
  })

  it('gets one decision for an idempotency key, however often it is sent', async () => {
    const eventId = await createEvent(5)
    const ada = await clientOf('ada')
    const book = () => ada.book({ eventId }, { idempotencyKey: 'order-1' })
    const [first, second] = await Promise.all([book(), book()])
    expect(second).toEqual(first)
    expect(await book()).toEqual(first)
  })

  it('acts for any user with an API key, and learns if a scope is missing', async () => {
    const eventId = await createEvent(5)
    const body = { name: 'Shop', scopes: ['bookings:write' as const], eventIds: [eventId] }
    const { key } = await dataOf(olga.api.POST('/api-keys', { body }))
    const shop = createTicketLine({ baseUrl: system.apis[0]?.url as string, token: key })
    for (const userId of ['ada', 'bob'])
      expect(await shop.book({ eventId, userId })).toMatchObject({ outcome: 'booked', userId })
    await expect(shop.book({ eventId })).rejects.toMatchObject({
      code: 'invalid_request',
      problem: { errors: [{ pointer: '/userId' }] },
    })
    const change = shop.configure(eventId, { sales: 'paused' })
    await expect(change).rejects.toMatchObject({ code: 'insufficient_scope', status: 403 })
  })

  it('changes an event only if nobody has changed it since it was read', async () => {
    const eventId = await createEvent(5)
    const params = { path: { eventId } }
    const { response } = await olga.api.GET('/events/{eventId}', { params })
    const ifMatch = response.headers.get('etag') as string
    expect(await olga.configure(eventId, { sales: 'paused' }, { ifMatch })).toMatchObject({
      state: 'paused',
    })
    const late = olga.configure(eventId, { sales: 'open' }, { ifMatch })
    await expect(late).rejects.toMatchObject({ code: 'version_mismatch', status: 412 })
  })

  it('follows an event and a user until its caller stops, beyond a restart of the API', async () => {
    const eventId = await createEvent(1)
    const api = await system.addApi()
    const bob = createTicketLine({ baseUrl: api.url, token: await system.token('bob') })
    const closed = new AbortController()
    const everybody = collect(bob.watchEvent(eventId, { signal: closed.signal }))
    const mine = collect(bob.watchMine(eventId, { signal: closed.signal }))
    const standings = (seen: (StatusUpdate | StandingUpdate)[]) =>
      seen.flatMap(({ event, data }) => (event === 'standing' ? [data.standing] : []))

    expect(await mine.reaches((seen) => standings(seen).join() === 'none')).toBe(true)
    await (await clientOf('ada')).book({ eventId })
    expect(await everybody.reaches((seen) => seen.at(-1)?.data.availableTickets === 0)).toBe(true)
    await api.stop()
    await system.addApi({ PORT: new URL(api.url).port })
    await (await clientOf('bob')).book({ eventId })
    expect(await mine.reaches((seen) => standings(seen).at(-1) === 'waiting')).toBe(true)
    expect(await everybody.reaches((seen) => seen.at(-1)?.data.waitingListCount === 1)).toBe(true)

    closed.abort()
    await Promise.all([everybody.ended, mine.ended])
  })

  it('refuses to follow an event that does not exist', async () => {
    const { ended } = collect(olga.watchEvent(999_999))
    await expect(ended).rejects.toMatchObject({ code: 'event_not_found' })
  })

  it('follows the change log from where it was left', async () => {
    const eventId = await createEvent(2)
    const [ada, bob] = [await clientOf('ada'), await clientOf('bob')]
    await ada.book({ eventId })
    const closed = new AbortController()
    const types = ['booking.confirmed', 'event.sold_out'] as const
    const log = collect(olga.changes(eventId, { types, signal: closed.signal }))
    const users = (seen: ChangesPage[]) =>
      seen.flatMap(({ changes }) => changes.map(({ type, userId }) => userId ?? type))
    expect(await log.reaches((seen) => users(seen).join() === 'ada')).toBe(true)
    const { next, epoch } = log.seen.at(-1) as ChangesPage

    await bob.book({ eventId })
    expect(await log.reaches((seen) => users(seen).join() === 'ada,bob,event.sold_out')).toBe(true)
    closed.abort(new Error('enough'))
    await expect(log.ended).rejects.toThrow('enough')

    for await (const page of olga.changes(eventId, { after: next, epoch })) {
      expect(users([page])).toEqual(['bob', 'event.sold_out'])
      break
    }
    const foreign = olga.changes(eventId, { after: next, epoch: 'another' }).next()
    await expect(foreign).rejects.toMatchObject({ code: 'epoch_changed', status: 410 })
  })

  it('verifies what the notifier sends, one by one and in batches', async () => {
    const eventId = await createEvent(2)
    const receiver = await startReceiver()
    try {
      const secrets: string[] = []
      for (const format of ['single', 'batch'] as const) {
        const body = { url: receiver.url, eventIds: [eventId], format }
        const { data } = await olga.api.POST('/webhooks', { body })
        secrets.push(data?.secret as string)
      }
      await (await clientOf('ada')).book({ eventId })
      await receiver.waitFor(() => receiver.received.length >= 2)

      const verified = await Promise.all(
        receiver.received.map(({ headers, text }) =>
          verifyWebhook({ headers, body: text, secret: secrets }),
        ),
      )
      const changes = verified.flatMap(({ message }) => {
        if (message.type === 'changes.batch') return message.data.changes
        return message.type === 'webhook.test' ? [] : [message]
      })
      expect(changes.map(({ type, data }) => `${type} ${data.userId}`)).toEqual([
        'booking.confirmed ada',
        'booking.confirmed ada',
      ])
    } finally {
      await receiver.close()
    }
  })

  it.skipIf(node20 === undefined)('works in Node 20', async () => {
    const eventId = await createEvent(1)
    const script = `
      const { createTicketLine, hasCode, verifyWebhook } = await import(process.env.CLIENT)
      const tickets = createTicketLine({ baseUrl: process.env.BASE_URL, token: process.env.TOKEN })
      const eventId = Number(process.env.EVENT)
      const { outcome } = await tickets.book({ eventId }, { onProgress() {} })
      const refusal = await tickets.book({ eventId }).catch((error) => error)
      const closed = new AbortController()
      let standing
      for await (const update of tickets.watchMine(eventId, { signal: closed.signal })) {
        if (update.event !== 'standing') continue
        standing = update.data.standing
        closed.abort()
      }
      const unsigned = await verifyWebhook({ headers: {}, body: '', secret: 'whsec_' })
        .catch((error) => error.name)
      console.log(process.version, outcome, hasCode(refusal, 'already_booked'), standing, unsigned)`
    const shown = await run(node20 as string, ['--input-type=module', '--eval', script], {
      env: {
        CLIENT: fromRoot('packages/client/dist/index.js'),
        BASE_URL: system.apis[0]?.url,
        TOKEN: await system.token('ada'),
        EVENT: String(eventId),
      },
    })
    expect(shown.trim()).toMatch(/^v20\.\S+ booked true booked WebhookVerificationError$/)
  })
})
