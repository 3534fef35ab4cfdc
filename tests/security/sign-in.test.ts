import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { medianRatio } from '../bench/report/median-ratio.ts'
import { type System, startSystem } from '../stack/system.ts'

/** Pairs of sign-ins, one of an unknown user and one with a wrong password. */
const PAIRS = Number(process.env['SIGN_IN_PAIRS'] ?? 150)
/** A busy machine needs more pairs to know the median to PRECISION. */
const MAX_PAIRS = 10 * PAIRS
/** The test adds pairs until half the width of the median's 90 % interval is at most this. */
const PRECISION = 0.02
const FLOOD_MS = 5000
/** Hashing and flooding each keep one of two cores busy, so other requests wait at times. */
const MAX_SLOWDOWN = 3
/** A median below this depends on the clock and the scheduler. */
const SHORTEST_MS = 3

let system: System
beforeAll(async () => {
  system = await startSystem({ workers: 0 })
  await system.api.post('/register', { userId: 'ann', password: 'correct horse battery' })
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 5 }, { token })
})
afterAll(() => system?.stop())

const login = (userId: string) =>
  system.api.post('/login', { userId, password: 'wrong horse battery' })

const quantile = (values: number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN

const medianOf = (values: number[]): number => quantile(values, 0.5)

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now()
  const value = await work()
  return { value, ms: performance.now() - startedAt }
}

it('gives an unknown user and a wrong password the same response in the same time', {
  timeout: 1_200_000,
}, async () => {
  const ratios: number[] = []
  const bodies = new Set<string>()
  // The number of pairs depends on their spread only, never on the ratio they show.
  const isPrecise = (): boolean => {
    const { low, high } = medianRatio(ratios)
    return ratios.length >= PAIRS && (high - low) / 2 <= PRECISION
  }
  for (let i = 0; i < MAX_PAIRS && !isPrecise(); i++) {
    const pair = { unknown: 0, wrong: 0 }
    // The order alternates, so that a garbage collection does not always hit the same one.
    const order = i % 2 === 0 ? (['unknown', 'wrong'] as const) : (['wrong', 'unknown'] as const)
    for (const kind of order) {
      const { value, ms } = await timed(() => login(kind === 'wrong' ? 'ann' : `nobody-${i}`))
      pair[kind] = ms
      bodies.add(
        JSON.stringify([
          value.status,
          { ...value.body, requestId: undefined, instance: undefined },
        ]),
      )
    }
    ratios.push(pair.unknown / pair.wrong)
  }
  // The ratio is taken within each pair, because a machine that is slow for a while slows both.
  const { median: ratio } = medianRatio(ratios)
  console.log(
    `${ratios.length} pairs: an unknown user takes ${ratio.toFixed(3)} of the time of a wrong password`,
  )
  expect(bodies.size).toBe(1)
  expect(Math.abs(ratio - 1)).toBeLessThanOrEqual(0.05)
})

it('refuses a flood of sign-ins and keeps /status fast meanwhile', {
  timeout: 120_000,
}, async () => {
  async function statusTimesMs(forMs: number): Promise<number[]> {
    const times: number[] = []
    const endsAt = performance.now() + forMs
    while (performance.now() < endsAt) {
      const { value, ms } = await timed(() => system.api.get('/status/1'))
      expect(value.status).toBe(200)
      times.push(ms)
      await sleep(5)
    }
    return times
  }
  await statusTimesMs(1000)
  const quiet = await statusTimesMs(FLOOD_MS)
  const flood = fork(fromRoot('tests/security/sign-in/flood.ts'), { execArgv: [] })
  flood.send(system.apis[0]?.url ?? '')
  await sleep(1000)
  const flooded = await statusTimesMs(FLOOD_MS)
  const [[answers]] = await Promise.all([once(flood, 'message'), flood.send('stop')])
  const show = (times: number[]) =>
    `p50 ${medianOf(times).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms, ${times.length} requests`
  console.log(
    `/status: ${show(quiet)}; in the flood ${show(flooded)}; sign-ins by status ${JSON.stringify(answers)}`,
  )
  expect(Object.keys(answers)).toEqual(['401', '503'])
  expect(medianOf(flooded)).toBeLessThanOrEqual(
    MAX_SLOWDOWN * Math.max(SHORTEST_MS, medianOf(quiet)),
  )
})
