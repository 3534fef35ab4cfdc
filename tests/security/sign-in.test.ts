import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/paths.mjs'
import { medianRatio } from '../bench/report/median-ratio.ts'
import { type System, startSystem } from '../stack/system.ts'

/** Pairs of an unknown user and a wrong password; `SIGN_IN_PAIRS=1000` is the full size. */
const PAIRS = Number(process.env['SIGN_IN_PAIRS'] ?? 150)
/** A busy machine needs more pairs until the median is known to PRECISION. */
const MAX_PAIRS = 10 * PAIRS
/** Half the width of the median's 90 % interval at which there are enough pairs. */
const PRECISION = 0.02
const FLOOD_MS = 5000
/** Hashes and flooders take a core each of two, and whoever asks has to wait for his turn now and then. */
const SLOWER = 3
/** Below this a median is a matter of the clock and the scheduler. */
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

const middle = (values: number[]): number => quantile(values, 0.5)

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now()
  const value = await work()
  return { value, ms: performance.now() - startedAt }
}

it('answers an unknown user and a wrong password alike and in the same time', {
  timeout: 1_200_000,
}, async () => {
  const ratios: number[] = []
  const bodies = new Set<string>()
  // Whether there are enough pairs depends on how much they vary, never on what they say.
  const isPrecise = (): boolean => {
    const { low, high } = medianRatio(ratios)
    return ratios.length >= PAIRS && (high - low) / 2 <= PRECISION
  }
  for (let i = 0; i < MAX_PAIRS && !isPrecise(); i++) {
    const pair = { unknown: 0, wrong: 0 }
    // In turn, so that a pause or a garbage collection does not always hit the same one.
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
  // The ratio is taken within each pair, because a machine that is slow for a while slows both of them.
  const { median: ratio } = medianRatio(ratios)
  console.log(
    `${ratios.length} pairs: an unknown user takes ${ratio.toFixed(3)} of the time of a wrong password`,
  )
  expect(bodies.size).toBe(1)
  expect(Math.abs(ratio - 1)).toBeLessThanOrEqual(0.05)
})

it('a flood of sign-ins is turned away, and /status keeps its pace', {
  timeout: 120_000,
}, async () => {
  async function pace(forMs: number): Promise<number[]> {
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
  await pace(1000)
  const quiet = await pace(FLOOD_MS)
  const flood = fork(fromRoot('tests/security/sign-in/flood.ts'), { execArgv: [] })
  flood.send(system.apis[0]?.url ?? '')
  await sleep(1000)
  const flooded = await pace(FLOOD_MS)
  const [[answers]] = await Promise.all([once(flood, 'message'), flood.send('stop')])
  const show = (times: number[]) =>
    `p50 ${middle(times).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms, ${times.length} asked`
  console.log(
    `/status: ${show(quiet)}; in the flood ${show(flooded)}; sign-ins ${JSON.stringify(answers)}`,
  )
  expect(Object.keys(answers)).toEqual(['401', '503'])
  expect(middle(flooded)).toBeLessThanOrEqual(SLOWER * Math.max(SHORTEST_MS, middle(quiet)))
})
