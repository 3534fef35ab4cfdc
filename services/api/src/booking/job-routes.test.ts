import type { CommandView, LineClient } from '@ticket-line/line/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { unavailable } from '../http/problem.js'
import { appUnderTest, booked, call, fakeLine } from '../testing/app-under-test.js'
import { type PollDeps, poll } from './job-routes.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const queued = { state: 'queued', ahead: 3 } as CommandView
const done = { state: 'done', ahead: null } as CommandView
const hangs = (): Promise<never> => new Promise(() => undefined)

/**
 * A poll whose searches end as given; the last one repeats. Each search takes as long as it may
 * wait.
 */
function given(searches: (() => Promise<CommandView | undefined>)[], deps: Partial<PollDeps> = {}) {
  const find: LineClient['find'] = async (_commandId, waitMs) => {
    const search = (searches.length > 1 ? searches.shift() : searches[0]) as () => Promise<
      CommandView | undefined
    >
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    return search()
  }
  return (waitMs: number) =>
    poll(
      {
        line: { find },
        lifecycle: { draining: false },
        availability: { redis: () => true, postgres: () => true },
        readTimeoutMs: 800,
        ...deps,
      },
      'event-1.x.1.0',
      waitMs,
      () => true,
    )
}

async function after<T>(ms: number, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  await vi.advanceTimersByTimeAsync(ms)
  return promise
}

describe('a long poll', () => {
  it('returns the last known state if the process is too busy for another search', async () => {
    const ask = given([async () => queued, hangs])

    expect(await after(10_000, ask(3000))).toBe(queued)
  })

  it('continues after a failed search and returns the decision', async () => {
    const ask = given([
      async () => queued,
      () => Promise.reject(new Error('unavailable')),
      async () => done,
    ])

    expect(await after(10_000, ask(5000))).toBe(done)
  })

  it('fails with unavailable if a server is unavailable', async () => {
    const ask = given([async () => queued, hangs], {
      availability: { redis: () => true, postgres: () => false },
    })

    await expect(after(10_000, ask(3000))).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('uses all of its time even if searches fail at once', async () => {
    const startedAtMs = Date.now()
    const find = async (): Promise<CommandView> => {
      if (Date.now() - startedAtMs < 2500) throw new Error('no reply in time')
      return done
    }

    expect(await after(10_000, given([], { line: { find } })(5000))).toBe(done)
  })

  it('goes on after its deadline if it has found nothing and both servers are available', async () => {
    const startedAtMs = Date.now()
    const find = async (): Promise<CommandView> => {
      if (Date.now() - startedAtMs < 2500) throw new Error('no reply in time')
      return queued
    }

    expect(await after(10_000, given([], { line: { find } })(1000))).toBe(queued)
  })

  it('ends at its deadline if the process is stopping', async () => {
    const find = async (): Promise<never> => {
      throw unavailable()
    }
    const ask = given([], { line: { find }, lifecycle: { draining: true } })

    await expect(after(0, ask(5000))).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('fails with unavailable if it has found nothing in all its time', async () => {
    await expect(after(10_000, given([hangs])(3000))).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('a poll that does not wait', () => {
  it('fails with unavailable as soon as its search fails', async () => {
    const find = async (): Promise<never> => {
      throw unavailable()
    }

    await expect(after(0, given([], { line: { find } })(0))).rejects.toMatchObject({
      code: 'unavailable',
    })
  })
})

describe('GET /jobs/:jobId', () => {
  const commandId = 'event-1.000000000aaaaaaaaaaaa.1.0'
  const request = { type: 'book', eventId: 1, userId: 'ada', caller: 'ada' } as const

  /** Reads a job of which `find` returns this. */
  function read(view: Pick<CommandView, 'state' | 'ahead' | 'etaSeconds' | 'outcome'>) {
    vi.useRealTimers()
    const find = async (): Promise<CommandView> => ({
      ...request,
      commandId,
      acceptedAtMs: 0,
      ...view,
    })
    const app = appUnderTest({ line: fakeLine(booked, find) })
    return call(app, `GET /jobs/${commandId}`, { as: 'ada' })
  }

  it.each([
    [{ state: 'active', ahead: 0, etaSeconds: 0 }, 1, 2],
    [{ state: 'queued', ahead: 90_000, etaSeconds: 20 }, 16, 24],
    [{ state: 'queued', ahead: 90_000, etaSeconds: 900 }, 20, 30],
    // Without an estimate, 1,000 decisions a second are assumed.
    [{ state: 'queued', ahead: 3, etaSeconds: null }, 1, 2],
    [{ state: 'queued', ahead: 9000, etaSeconds: null }, 8, 12],
  ] as const)('sends %j with a Retry-After of %i to %i s', async (view, least, most) => {
    const { json, headers } = await read(view)

    expect(json).toMatchObject(view)
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(least)
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(most)
  })

  it('sends neither an estimate nor Retry-After once the job is done', async () => {
    const outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: 5 } as const
    const { json, headers } = await read({ state: 'done', ahead: null, etaSeconds: null, outcome })

    expect(json).toMatchObject({ state: 'done', ahead: null, etaSeconds: null })
    expect(headers.get('retry-after')).toBeNull()
  })
})
