import type { UndecidedPage } from '@ticket-line/db'
import { createLog, JOB_VERSION } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JobToStore } from '../queues.js'
import { createReadiness } from './readiness.js'
import { type RecoveryDeps, type RecoveryStore, watchReadiness } from './recovery.js'
import type { RecoveryRedis } from './recovery-redis.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

function jobOf(lineName: string, jobId: string, acceptedNo: number): UndecidedPage['jobs'][number] {
  const command = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' } as const
  const payload = { v: 3, acceptedAtMs: 1, commands: [command] }
  return { lineName, jobId, acceptedNo, payload }
}

/** A Redis and the records of PostgreSQL, as far as a recovery uses them. */
function createServers() {
  const world = {
    identity: 'run-1' as string | undefined,
    generation: undefined as string | undefined,
    /** The generation that PostgreSQL has. */
    recorded: undefined as string | undefined,
    token: undefined as string | undefined,
    isConnected: true,
    /** The queued jobs of each line, the next one first. */
    lines: new Map<string, string[]>(),
    pages: [[]] as UndecidedPage['jobs'][],
    isAlone: true,
    /** Called before each page is read. */
    beforePage: undefined as (() => void) | undefined,
  }
  const disconnected: (() => void)[] = []
  const redis: RecoveryRedis = {
    isConnected: () => world.isConnected,
    onDisconnected: (listener) => void disconnected.push(listener),
    readPresentGeneration: async () => ({ identity: world.identity, generation: world.generation }),
    async begin(token) {
      world.token = token
    },
    async find(jobs: readonly JobToStore[]) {
      const isMissing = ({ lineName, jobId }: JobToStore): boolean =>
        world.lines.get(lineName)?.includes(jobId) !== true
      return { missing: jobs.filter(isMissing), relisted: [] }
    },
    async add(jobs) {
      for (const { lineName, jobId } of jobs)
        world.lines.set(lineName, [...(world.lines.get(lineName) ?? []), jobId])
    },
    wake: async () => undefined,
    async putFirst(jobIds) {
      for (const [lineName, ids] of jobIds) {
        const queued = world.lines.get(lineName) ?? []
        const first = ids.filter((id) => queued.includes(id))
        world.lines.set(lineName, [...first, ...queued.filter((id) => !ids.includes(id))])
      }
    },
    async end(token, generation) {
      if (world.token !== token) return false
      world.generation = generation
      return true
    },
  }
  const store: RecoveryStore = {
    readRecordedGeneration: async () => world.recorded,
    async recordGeneration(generation) {
      world.recorded = generation
    },
    async readUndecided(after) {
      world.beforePage?.()
      const next = after + 1
      return { jobs: world.pages[after] ?? [], next: next < world.pages.length ? next : undefined }
    },
  }
  function flush(): void {
    world.generation = undefined
    world.token = undefined
    world.lines.clear()
  }
  function disconnect(): void {
    for (const run of disconnected) run()
  }
  return { world, redis, store, flush, disconnect }
}

/** Starts a process. @returns what it knows */
function startProcess(
  { world, redis, store }: ReturnType<typeof createServers>,
  deps: Partial<RecoveryDeps> = {},
) {
  const readiness = createReadiness()
  const rescued: number[] = []
  const { stop } = watchReadiness({
    redis,
    readiness,
    isOurs: () => true,
    readRecordedGeneration: async () => world.recorded,
    async alone(run) {
      if (world.isAlone) await run(store)
    },
    onRescued: (jobs) => rescued.push(jobs),
    log: createLog('test', 'silent'),
    ...deps,
  })
  return { readiness, rescued, stop }
}

describe('a recovery', () => {
  it('gives a new Redis its generation, which begins with the run id', async () => {
    const servers = createServers()
    const { readiness } = startProcess(servers)
    await pass(0)

    expect(readiness.generation()).toMatch(/^run-1:/)
    expect(readiness.generation()).toBe(servers.world.generation)
  })

  it('is not repeated by another process', async () => {
    const servers = createServers()
    const first = startProcess(servers)
    await pass(0)
    const second = startProcess(servers)
    await pass(0)

    expect(second.readiness.generation()).toBe(first.readiness.generation())
    expect(second.rescued).toEqual([])
  })

  it('adds the recorded jobs of all pages in order of acceptance', async () => {
    const servers = createServers()
    servers.world.pages = [
      [jobOf('a', 'a1', 1), jobOf('b', 'b1', 2)],
      [jobOf('a', 'a2', 3)],
      [],
      [jobOf('a', 'a3', 4)],
    ]
    const { rescued } = startProcess(servers)
    await pass(0)

    expect(servers.world.lines.get('a')).toEqual(['a1', 'a2', 'a3'])
    expect(servers.world.lines.get('b')).toEqual(['b1'])
    expect(rescued).toEqual([4])
  })

  it('skips a job with a malformed record, and logs it once', async () => {
    const servers = createServers()
    const malformed = jobOf('a', 'a1', 1)
    Reflect.deleteProperty(malformed.payload, 'commands')
    const nothing = { ...jobOf('a', 'a2', 2), payload: null as never }
    servers.world.pages = [[malformed, nothing, jobOf('a', 'a3', 3)]]
    const log = createLog('test', 'silent')
    const logged = vi.spyOn(log, 'error')
    const { readiness, rescued } = startProcess(servers, { log })
    await pass(0)
    servers.flush()
    await pass(2000)

    expect(readiness.isReady()).toBe(true)
    expect(servers.world.lines.get('a')).toEqual(['a3'])
    expect(rescued).toEqual([1, 1])
    expect(logged.mock.calls.map(([context]) => context)).toEqual([
      { lineName: 'a', jobId: 'a1' },
      { lineName: 'a', jobId: 'a2' },
    ])
  })

  it('adds a job of a newer release', async () => {
    const servers = createServers()
    const newer = jobOf('a', 'a1', 1)
    newer.payload.v = JOB_VERSION + 1
    servers.world.pages = [[newer]]
    startProcess(servers)
    await pass(0)

    expect(servers.world.lines.get('a')).toEqual(['a1'])
  })

  it('puts recorded jobs before those that arrived since Redis lost them', async () => {
    const servers = createServers()
    servers.world.lines.set('a', ['stray', 'a2'])
    servers.world.pages = [[jobOf('a', 'a1', 1), jobOf('a', 'a2', 2)]]
    startProcess(servers)
    await pass(0)

    expect(servers.world.lines.get('a')).toEqual(['a1', 'a2', 'stray'])
  })

  it('starts again if Redis loses its data in the middle', async () => {
    const servers = createServers()
    servers.world.pages = [[jobOf('a', 'a1', 1)], [jobOf('a', 'a2', 2)]]
    let pages = 0
    servers.world.beforePage = () => {
      pages += 1
      if (pages === 2) servers.flush()
    }
    const { readiness } = startProcess(servers)
    await pass(0)
    expect(readiness.isReady()).toBe(false)
    expect(servers.world.generation).toBeUndefined()

    await pass(500)
    expect(readiness.generation()).toBe(servers.world.generation)
    expect(servers.world.lines.get('a')).toEqual(['a1', 'a2'])
  })

  it('is not valid if Redis has restarted in the middle', async () => {
    const servers = createServers()
    servers.world.beforePage = () => {
      servers.world.identity = 'run-2'
    }
    const { readiness } = startProcess(servers)
    await pass(0)
    expect(servers.world.generation).toMatch(/^run-1:/)
    expect(readiness.isReady()).toBe(false)

    await pass(500)
    expect(readiness.generation()).toMatch(/^run-2:/)
  })

  it('waits while another process recovers', async () => {
    const servers = createServers()
    servers.world.isAlone = false
    const { readiness } = startProcess(servers)
    await pass(1000)
    expect(readiness.isReady()).toBe(false)

    servers.world.generation = 'run-1:other'
    servers.world.recorded = 'run-1:other'
    await pass(300)
    expect(readiness.generation()).toBe('run-1:other')
  })

  it('does not begin in the Redis of another installation', async () => {
    const servers = createServers()
    const { readiness } = startProcess(servers, { isOurs: () => false })
    await pass(3000)

    expect(readiness.isReady()).toBe(false)
    expect(servers.world.generation).toBeUndefined()
  })

  it('is tried again if PostgreSQL fails', async () => {
    const servers = createServers()
    let fails = true
    const { readiness } = startProcess(servers, {
      async alone(run) {
        if (fails) throw new Error('no PostgreSQL')
        await run(servers.store)
      },
    })
    await pass(600)
    expect(readiness.isReady()).toBe(false)

    fails = false
    await pass(300)
    expect(readiness.isReady()).toBe(true)
  })
})

describe('a process', () => {
  it('is unsure at once when its connection breaks, until it has checked Redis', async () => {
    const servers = createServers()
    const { readiness } = startProcess(servers)
    await pass(0)
    const changes: boolean[] = []
    readiness.onChange((isReady) => changes.push(isReady))

    servers.world.isConnected = false
    servers.disconnect()
    await pass(1000)
    expect(readiness.isReady()).toBe(false)

    servers.world.isConnected = true
    await pass(300)
    expect(readiness.generation()).toBe(servers.world.generation)
    expect(changes).toEqual([false, true])
  })

  it('notices within two seconds that Redis was flushed or has failed over', async () => {
    const servers = createServers()
    servers.world.pages = [[jobOf('a', 'a1', 1)]]
    const { readiness, rescued } = startProcess(servers)
    await pass(0)
    const before = readiness.generation()

    servers.flush()
    await pass(2000)
    expect(readiness.generation()).not.toBe(before)
    expect(servers.world.lines.get('a')).toEqual(['a1'])

    servers.world.identity = 'run-2'
    await pass(2000)
    expect(readiness.generation()).toMatch(/^run-2:/)
    expect(rescued).toEqual([1, 1, 0])
  })

  it('does not trust a former master, whose generation is out of date', async () => {
    const servers = createServers()
    const { world } = servers
    const { readiness, rescued } = startProcess(servers)
    await pass(0)
    const former = { identity: world.identity, generation: world.generation }
    servers.disconnect()
    Object.assign(world, { identity: 'run-2' })
    await pass(2000)
    expect(readiness.generation()).toMatch(/^run-2:/)

    world.pages = [[jobOf('a', 'a1', 1)]]
    servers.disconnect()
    Object.assign(world, former)
    await pass(2000)
    expect(readiness.generation()).toMatch(/^run-1:/)
    expect(readiness.generation()).not.toBe(former.generation)
    expect(world.lines.get('a')).toEqual(['a1'])
    expect(rescued).toEqual([0, 0, 1])
  })

  it('does not trust what it read before its connection broke', async () => {
    const servers = createServers()
    const { world } = servers
    startProcess(servers)
    await pass(0)
    let answer: (() => void) | undefined
    const { readiness } = startProcess(servers, {
      readRecordedGeneration: () =>
        new Promise((resolve) => {
          answer = () => resolve(world.recorded)
        }),
    })
    await pass(0)

    servers.disconnect()
    answer?.()
    await pass(0)
    expect(readiness.isReady()).toBe(false)
  })

  it('takes the generation of others if it may not read the identity of Redis', async () => {
    const servers = createServers()
    const { world } = servers
    const first = startProcess(servers)
    await pass(0)
    const readPresentGeneration = async () => ({
      identity: undefined,
      generation: world.generation,
    })
    const hidden = startProcess({ ...servers, redis: { ...servers.redis, readPresentGeneration } })
    await pass(0)
    expect(hidden.readiness.generation()).toBe(first.readiness.generation())

    servers.flush()
    first.stop()
    await pass(3000)
    expect(hidden.readiness.generation()).toMatch(/^hidden:/)

    // A process that may read the identity recovers once more, and both then have its generation.
    const second = startProcess(servers)
    await pass(5000)
    expect(second.readiness.generation()).toMatch(/^run-1:/)
    expect(hidden.readiness.generation()).toBe(second.readiness.generation())
    expect([...first.rescued, ...hidden.rescued, ...second.rescued]).toEqual([0, 0, 0])
  })
})
