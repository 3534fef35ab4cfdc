import { expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { openStream } from '../stack/event-stream.ts'
import { startSystem } from '../stack/system.ts'
import { hasNginx, startNginx } from './nginx-kit.ts'

it.skipIf(!hasNginx).each(['http', 'https'] as const)(
  'passes each event of a stream, and its end, through nginx at once with %s',
  async (server) => {
    const system = await startSystem({ env: { TRUST_PROXY_HOPS: '1' } })
    onTestFinished(() => system.stop())
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 10 }, { token })
    const { url, ca } = await startNginx(system.apis[0]?.url as string, server)

    const stream = await openStream(url, '/events/1/me/stream', { token, ca })
    onTestFinished(() => stream.close())
    expect(stream.status).toBe(200)
    await stream.find(({ event }) => event === 'standing', 2000)
    const bookedAt = performance.now()
    await system.api.post('/book', { eventId: 1 }, { token })
    const booked = await stream.find(({ data }) => data.standing === 'booked', 2000)
    // nginx would hold an event back until it has 4 KiB of them.
    expect(booked.atMs - bookedAt).toBeLessThan(1500)
    expect(await until(() => stream.comments() > 0, { timeoutMs: 16_000 })).toBe(true)
    const stopped = system.apis[0]?.stop()
    expect(await stream.bye()).toBe('shutdown')
    await stopped
  },
  60_000,
)
