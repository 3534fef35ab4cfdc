import type { LiveQuestion, LiveState } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PrincipalEnd } from '../auth/account-overrides.js'
import type { Principal } from '../http/principal.js'
import { createMetrics } from '../operations/metrics.js'
import type { ChangeListener } from './change-watch.js'
import { createLiveStreams, type LiveStreams } from './live-streams.js'
import type { StreamResponse } from './stream-response.js'

const STALL_MS = 30_000

/** Event 1 in a database, and streams of it. */
class Scene {
  lastChange = 1
  exists = true
  isAvailable = true
  opensAtMs: number | null = null
  reads: LiveQuestion[][] = []
  readTakesMs = 0
  ends = new Map<string, PrincipalEnd>()
  #listeners = new Set<ChangeListener>()
  #onAccountChange: (userId: string) => void = () => undefined
  readonly streams: LiveStreams

  constructor() {
    this.streams = createLiveStreams({
      read: async (questions) => {
        this.reads.push(questions)
        if (this.readTakesMs > 0) await sleep(this.readTakesMs)
        if (!this.isAvailable) throw new Error('the database is gone')
        return new Map(
          questions
            .filter(({ knownChange }) => knownChange !== this.lastChange)
            .map(({ eventId }) => [eventId, this.exists ? this.#state() : undefined]),
        )
      },
      watch: {
        watch: (_eventId, listener) => {
          this.#listeners.add(listener)
          return () => void this.#listeners.delete(listener)
        },
        skip: () => undefined,
      },
      accounts: {
        endOf: ({ userId }) => this.ends.get(userId),
        onChange: (listener) => {
          this.#onAccountChange = listener
        },
      },
      postgres: { availability: { postgres: () => true } },
      stallTimeoutMs: STALL_MS,
      metrics: createMetrics().streams,
      log: createLog('test', 'silent'),
    })
  }

  #state(): LiveState {
    return {
      lastChange: this.lastChange,
      nowMs: Date.now(),
      canceledAtMs: null,
      opensAtMs: this.opensAtMs,
      closesAtMs: null,
      paused: false,
      availableTickets: 10_000 - this.lastChange,
      heldTickets: 0,
      waitingListCount: 0,
      claims: new Map([['ada', { standing: 'waiting', position: this.lastChange }]]),
    }
  }

  watched(): number {
    return this.#listeners.size
  }

  change(): void {
    this.lastChange++
    this.announce(this.lastChange)
  }

  announce(lastChange: number | undefined): void {
    for (const listener of this.#listeners) listener(lastChange)
  }

  end(userId: string, reason: PrincipalEnd): void {
    this.ends.set(userId, reason)
    this.#onAccountChange(userId)
  }

  async open(userId?: string, principal?: Principal): Promise<FakeResponse> {
    const opening = this.streams.open(1, userId)
    await vi.advanceTimersByTimeAsync(500)
    const response = new FakeResponse()
    const found = await opening
    if (found === undefined) throw new Error('there is no event')
    found.start(response, principal, () => {
      response.hasEnded = true
    })
    return response
  }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

class FakeResponse implements StreamResponse {
  written: string[] = []
  /** When each of them was written, ms. */
  times: number[] = []
  isReading = true
  isClosed = false
  hasEnded = false
  #unread = 0
  #onClose: () => void = () => undefined

  write(bytes: Uint8Array): void {
    this.written.push(String(bytes))
    this.times.push(Date.now())
    if (!this.isReading) this.#unread += bytes.length
  }
  end(bytes: Uint8Array): void {
    this.write(bytes)
    this.destroy()
  }
  destroy(): void {
    this.isClosed = true
    this.#onClose()
  }
  unreadBytes(): number {
    return this.#unread
  }
  onClose(listener: () => void): void {
    this.#onClose = listener
  }
  resume(): void {
    this.isReading = true
    this.#unread = 0
  }
  ids(): number[] {
    return this.written.flatMap((text) =>
      [...text.matchAll(/event: status\nid: (\d+)/g)].map(([, id]) => Number(id)),
    )
  }
  /** What was written last, comments aside. */
  last(): string {
    return this.written.findLast((text) => text !== ':\n\n') ?? ''
  }
}

let scene: Scene
beforeEach(() => {
  vi.useFakeTimers()
  scene = new Scene()
})
afterEach(() => {
  scene.streams.stop()
  vi.useRealTimers()
})

describe('updates', () => {
  it('come at most twice a second, and always with the last state', async () => {
    const stream = await scene.open()
    for (let i = 0; i < 100; i++) {
      scene.change()
      await vi.advanceTimersByTimeAsync(20)
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.ids().length).toBeLessThanOrEqual(2 + 2 * 2)
    expect(stream.ids().at(-1)).toBe(101)
    const times = stream.times.filter((_, i) => stream.written[i]?.includes('status'))
    const gaps = times.slice(1).map((time, i) => time - (times[i] as number))
    for (const gap of gaps.slice(1)) expect(gap).toBeGreaterThanOrEqual(499)
  })

  it('come at once if the last one was long ago', async () => {
    const stream = await scene.open()
    await vi.advanceTimersByTimeAsync(2000)
    scene.change()
    await vi.advanceTimersByTimeAsync(5)
    expect(stream.ids()).toEqual([1, 2])
  })

  it('need no read while nothing changes', async () => {
    await scene.open()
    await vi.advanceTimersByTimeAsync(10_000)
    scene.announce(1)
    await vi.advanceTimersByTimeAsync(1000)
    expect(scene.reads).toHaveLength(1)
  })

  it('cost at most two reads a second, although streams are opened all the time', async () => {
    const responses: FakeResponse[] = []
    for (let i = 0; i < 40; i++) {
      void scene.streams.open(1, 'ada').then((opening) => {
        const response = new FakeResponse()
        responses.push(response)
        opening?.start(response, undefined, () => undefined)
      })
      scene.change()
      await vi.advanceTimersByTimeAsync(50)
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(scene.reads.length).toBeLessThanOrEqual(7)
    expect(responses).toHaveLength(40)
    for (const response of responses) {
      expect(response.ids().at(-1)).toBe(41)
      expect(response.written.join('')).toContain('"position":41')
    }
  })

  it('come less often the more streams there are, but a new stream has its state soon', async () => {
    const opening = Array.from({ length: 3000 }, () => scene.streams.open(1, undefined))
    await vi.advanceTimersByTimeAsync(500)
    const responses = (await Promise.all(opening)).map((found) => {
      const response = new FakeResponse()
      found?.start(response, undefined, () => undefined)
      return response
    })
    const startedAt = Date.now()
    for (let i = 0; i < 90; i++) {
      scene.change()
      await vi.advanceTimersByTimeAsync(100)
    }
    const updates = responses.reduce((sum, { times }) => sum + times.length - 1, 0)
    expect(updates / ((Date.now() - startedAt) / 1000)).toBeLessThanOrEqual(2400)
    const late = await scene.open()
    expect(late.ids()[0]).toBe(scene.lastChange)
    await vi.advanceTimersByTimeAsync(3000)
    for (const { ids } of responses.map((response) => ({ ids: response.ids() })))
      expect(ids.at(-1)).toBe(scene.lastChange)
  })

  it('reach all streams although a new one has read the change before', async () => {
    const first = await scene.open('ada')
    await vi.advanceTimersByTimeAsync(2000)
    scene.change()
    await vi.advanceTimersByTimeAsync(5)
    // The next update is 500 ms away, but a new stream asks for the state now.
    scene.change()
    const second = await scene.open()
    await vi.advanceTimersByTimeAsync(1500)
    expect(first.ids()).toEqual([1, 2, 3])
    expect(first.last()).toContain('"position":3')
    expect(second.ids()).toEqual([3])
  })

  it('include a change that was not announced, if any event is read', async () => {
    const stream = await scene.open()
    await vi.advanceTimersByTimeAsync(2000)
    scene.lastChange++
    await scene.open()
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.ids()).toEqual([1, 2])
  })

  it('include a change that was announced between the first read and the start', async () => {
    const opening = scene.streams.open(1, undefined)
    await vi.advanceTimersByTimeAsync(1)
    scene.change()
    const response = new FakeResponse()
    ;(await opening)?.start(response, undefined, () => undefined)
    await vi.advanceTimersByTimeAsync(1000)
    expect(response.ids().at(-1)).toBe(2)
  })

  it('come to a stream for which the event was read while the only other stream ended', async () => {
    const first = await scene.open()
    scene.readTakesMs = 100
    setTimeout(() => first.destroy(), 50)
    const second = await scene.open()
    scene.change()
    await vi.advanceTimersByTimeAsync(1000)
    expect(second.ids()).toEqual([1, 2])
  })

  it('come when the sale opens by itself', async () => {
    scene.opensAtMs = Date.now() + 5000
    const stream = await scene.open()
    expect(stream.last()).toContain('"state":"scheduled"')
    await vi.advanceTimersByTimeAsync(5500)
    expect(stream.last()).toContain('"state":"open"')
    expect(stream.ids()).toEqual([1, 1])
  })

  it('go on after PostgreSQL was unavailable', async () => {
    const stream = await scene.open()
    scene.isAvailable = false
    scene.change()
    await vi.advanceTimersByTimeAsync(5000)
    expect(stream.ids()).toEqual([1])
    scene.isAvailable = true
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.ids()).toEqual([1, 2])
  })
})

describe('opening a stream', () => {
  it('finds nothing for an event that does not exist, and forgets the event', async () => {
    scene.exists = false
    const opening = scene.streams.open(1, undefined)
    await vi.advanceTimersByTimeAsync(500)
    expect(await opening).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1000)
    expect(scene.watched()).toBe(0)
  })

  it('fails if the event cannot be read', async () => {
    scene.isAvailable = false
    const opening = scene.streams.open(1, undefined)
    const failed = expect(opening).rejects.toMatchObject({ code: 'unavailable' })
    await vi.advanceTimersByTimeAsync(500)
    await failed
    await vi.advanceTimersByTimeAsync(1000)
    expect(scene.watched()).toBe(0)
  })
})

describe('a client that does not read', () => {
  it('misses the states in between, but not the last one', async () => {
    const stream = await scene.open()
    await vi.advanceTimersByTimeAsync(1000)
    stream.isReading = false
    for (let i = 0; i < 10; i++) {
      scene.change()
      await vi.advanceTimersByTimeAsync(1000)
    }
    expect(stream.ids()).toEqual([1, 2])
    stream.resume()
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.ids()).toEqual([1, 2, 11])
  })

  it('is disconnected after the stall timeout', async () => {
    const stream = await scene.open()
    stream.isReading = false
    await vi.advanceTimersByTimeAsync(1000)
    scene.change()
    await vi.advanceTimersByTimeAsync(1000)
    scene.change()
    await vi.advanceTimersByTimeAsync(STALL_MS - 1000)
    expect(stream.isClosed).toBe(false)
    await vi.advanceTimersByTimeAsync(2000)
    expect(stream).toMatchObject({ isClosed: true, hasEnded: true })
    expect(scene.streams.counts()).toEqual({ status: 0, standing: 0 })
  })
})

describe('the end of a stream', () => {
  it('is counted when the client leaves, and the event is then no longer watched', async () => {
    const streams = [await scene.open(), await scene.open('ada')]
    expect(scene.streams.counts()).toEqual({ status: 1, standing: 1 })
    for (const stream of streams) stream.destroy()
    expect(scene.streams.counts()).toEqual({ status: 0, standing: 0 })
    expect(streams.every(({ hasEnded }) => hasEnded)).toBe(true)
    expect(scene.watched()).toBe(0)
  })

  it('comes when the token expires', async () => {
    const principal: Principal = { userId: 'ada', role: 'user', expiresAtMs: Date.now() + 3000 }
    const stream = await scene.open('ada', principal)
    await vi.advanceTimersByTimeAsync(2000)
    expect(stream.isClosed).toBe(false)
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.last()).toMatch(/^retry: \d+\nevent: bye\ndata: \{"reason":"expired"\}\n\n$/)
    expect(stream.isClosed).toBe(true)
  })

  it('comes when the user is disabled, also for a stream that is about to start', async () => {
    const principal: Principal = { userId: 'ada', role: 'user' }
    const stream = await scene.open('ada', principal)
    const other = await scene.open('bob', { userId: 'bob', role: 'user' })
    scene.end('ada', 'disabled')
    expect(stream.last()).toContain('{"reason":"disabled"}')
    expect(other.isClosed).toBe(false)
    expect((await scene.open('ada', principal)).last()).toContain('{"reason":"disabled"}')
  })

  it('comes without a reason when the event is deleted', async () => {
    const stream = await scene.open()
    scene.exists = false
    scene.announce(undefined)
    scene.lastChange = 0
    await vi.advanceTimersByTimeAsync(1000)
    expect(stream.isClosed).toBe(true)
    expect(stream.written.join('')).not.toContain('bye')
  })

  it('comes for all streams when the process stops, and they reconnect at different times', async () => {
    const streams = []
    for (let i = 0; i < 100; i++) streams.push(await scene.open())
    scene.streams.stop()
    await vi.advanceTimersByTimeAsync(1000)
    for (const stream of streams) expect(stream.last()).toContain('{"reason":"shutdown"}')
    const retries = streams.map((stream) => Number(/^retry: (\d+)/.exec(stream.last())?.[1]))
    expect(Math.max(...retries) - Math.min(...retries)).toBeGreaterThan(2000)
    await expect(scene.streams.open(1, undefined)).rejects.toMatchObject({ code: 'busy' })
  })
})

describe('comments', () => {
  it('come every 15 s, at different times for streams that were opened together', async () => {
    const streams = []
    for (let i = 0; i < 30; i++) streams.push(await scene.open())
    await vi.advanceTimersByTimeAsync(60_000)
    for (const { written, times } of streams) {
      const at = times.filter((_, i) => written[i] === ':\n\n')
      expect(at.length).toBeGreaterThanOrEqual(4)
      for (let i = 1; i < at.length; i++)
        expect(Math.abs((at[i] as number) - (at[i - 1] as number) - 15_000)).toBeLessThan(500)
    }
    expect(new Set(streams.map(({ times }) => times[1])).size).toBeGreaterThan(5)
  })
})
