import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineServer } from './line-server.js'
import { createLines, type Lines, type LinesDeps } from './lines.js'

beforeEach(() => void vi.useFakeTimers({ now: 0 }))
afterEach(() => void vi.useRealTimers())

/** Lines that can be opened, with which of them have jobs and which are at one. */
function given(options: Partial<LinesDeps> = {}) {
  const servers = new Map<string, LineServer & { lastActiveMs: number; atWork: boolean }>()
  const withWork = new Set<string>()
  const opened: string[] = []
  const closed: string[] = []
  const refuseToOpen = new Set<string>()
  const open = async (lineName: string): Promise<LineServer> => {
    await new Promise((resolve) => setTimeout(resolve, 2))
    if (refuseToOpen.delete(lineName)) throw new Error('no connection')
    const server = {
      lineName,
      lastActiveMs: Date.now(),
      atWork: false,
      lastActiveAtMs: () => server.lastActiveMs,
      busy: () => server.atWork,
      assertGlobalConcurrency: async () => undefined,
      close: async () => {
        do await new Promise((resolve) => setTimeout(resolve, 5))
        while (server.atWork)
        closed.push(lineName)
        servers.delete(lineName)
      },
    }
    opened.push(lineName)
    servers.set(lineName, server)
    return server
  }
  const lines = createLines({
    open,
    withWork: async (names) => names.filter((name) => withWork.has(name)),
    maxOpenLines: 3,
    idleMs: 60_000,
    log: createLog('test', 'silent'),
    now: () => Date.now(),
    ...options,
  })
  const serve = (lineName: string) =>
    servers.get(lineName) as LineServer & { lastActiveMs: number; atWork: boolean }
  return { lines, servers, withWork, opened, closed, refuseToOpen, serve }
}

const namesOf = (lines: Lines): string[] => lines.openLines().map((line) => line.lineName)
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a line that is asked for', () => {
  it('is opened at once, and once', async () => {
    const { lines, opened } = given()

    lines.want('a')
    lines.want('a')
    await pass(10)
    lines.want('a')
    await pass(10)

    expect(opened).toEqual(['a'])
  })

  it('waits in order of asking where eight are being opened already', async () => {
    const { lines, opened } = given({ maxOpenLines: 100 })

    for (let i = 0; i < 20; i++) lines.want(`line-${i}`)
    await pass(3)

    expect(opened).toEqual(Array.from({ length: 8 }, (_, i) => `line-${i}`))
    await pass(100)
    expect(namesOf(lines)).toHaveLength(20)
  })

  it('is tried again where it could not be opened and still has jobs', async () => {
    const { lines, withWork, refuseToOpen } = given()
    refuseToOpen.add('a')
    withWork.add('a')

    lines.want('a')
    await pass(10)
    expect(namesOf(lines)).toEqual([])

    await pass(1500)
    expect(namesOf(lines)).toEqual(['a'])
  })
})

describe('at the bound of open lines', () => {
  it('never more are open than allowed', async () => {
    const { lines, servers } = given()
    const counts: number[] = []

    for (let i = 0; i < 30; i++) {
      lines.want(`line-${i}`)
      await pass(40)
      counts.push(servers.size)
    }

    expect(Math.max(...counts)).toBe(3)
  })

  it('the idlest line without jobs makes room', async () => {
    const { lines, withWork, serve } = given()
    for (const name of ['a', 'b', 'c']) lines.want(name)
    await pass(10)
    serve('a').lastActiveMs = 300
    serve('b').lastActiveMs = 100
    serve('c').lastActiveMs = 50
    withWork.add('c')

    lines.want('d')
    await pass(600)

    expect(namesOf(lines)).toEqual(['a', 'c', 'd'])
  })

  it('lines that others serve do not keep a line without jobs from making room', async () => {
    const { lines, withWork, serve } = given()
    for (const name of ['a', 'b', 'c']) lines.want(name)
    await pass(10)
    serve('c').lastActiveMs = 200
    withWork.add('a').add('b')

    lines.want('d')
    await pass(600)

    expect(namesOf(lines)).toEqual(['a', 'b', 'd'])
  })

  it('a line finishes the job at hand before it makes room', async () => {
    const { lines, withWork, closed, serve } = given({ maxOpenLines: 1 })
    lines.want('a')
    await pass(10)
    serve('a').atWork = true
    withWork.add('a').add('b')

    lines.want('b')
    await pass(3000)
    expect(closed).toEqual([])

    serve('a').atWork = false
    await pass(10)
    expect(namesOf(lines)).toEqual(['b'])
  })

  it('lines with jobs stay for lines that have none', async () => {
    const { lines, withWork, closed } = given({ maxOpenLines: 1 })
    withWork.add('a')
    lines.want('a')
    await pass(10)

    lines.want('b')
    await pass(5000)

    expect(closed).toEqual([])
  })

  it('no line with jobs waits for more than two seconds, also where every open line always has more', async () => {
    const { lines, withWork, opened } = given({ maxOpenLines: 2 })
    for (const name of ['a', 'b', 'c']) withWork.add(name)
    lines.want('a')
    lines.want('b')
    await pass(1000)

    lines.want('c')
    await pass(2000)
    expect(opened).toContain('c')

    await pass(60_000)
    const turns = ['a', 'b', 'c'].map((name) => opened.filter((one) => one === name).length)
    expect(Math.min(...turns)).toBeGreaterThan(10)
  })
})

describe('a line without jobs', () => {
  it('is closed when it was idle for long enough', async () => {
    const { lines } = given({ idleMs: 5000 })
    lines.want('a')

    await pass(4900)
    expect(namesOf(lines)).toEqual(['a'])
    await pass(500)
    expect(namesOf(lines)).toEqual([])
  })

  it('is not closed while jobs of it wait', async () => {
    const { lines, withWork } = given({ idleMs: 5000 })
    withWork.add('a')
    lines.want('a')

    await pass(20_000)

    expect(namesOf(lines)).toEqual(['a'])
  })

  it('is looked at again after it was closed: a job may have arrived meanwhile', async () => {
    const { lines, closed, withWork } = given({ idleMs: 1000 })
    lines.want('a')
    await pass(1300)
    expect(closed).toEqual(['a'])

    withWork.add('a')
    await pass(1500)

    expect(namesOf(lines)).toEqual(['a'])
  })

  it('that is asked for while it closes is opened again', async () => {
    const { lines, opened } = given({ idleMs: 1000 })
    lines.want('a')
    // Closing starts with the look at 1,250 ms and takes 5.
    await pass(1252)

    lines.want('a')
    await pass(20)

    expect(opened).toEqual(['a', 'a'])
  })
})

describe('closing all', () => {
  it('closes what is open and opens nothing any more', async () => {
    const { lines, closed, opened } = given()
    for (const name of ['a', 'b', 'c', 'd']) lines.want(name)
    await pass(10)

    const done = lines.close(1000)
    lines.want('e')
    await pass(20)
    await done
    await pass(5000)

    expect(closed.toSorted()).toEqual(['a', 'b', 'c'])
    expect(opened).toEqual(['a', 'b', 'c'])
  })

  it('ends after its grace where a job does not', async () => {
    const { lines, serve } = given()
    lines.want('a')
    await pass(10)
    serve('a').close = () => new Promise(() => undefined)
    let ended = false

    const done = lines.close(1000).then(() => {
      ended = true
    })
    await pass(900)
    expect(ended).toBe(false)
    await pass(200)
    await done
    expect(ended).toBe(true)
  })
})
