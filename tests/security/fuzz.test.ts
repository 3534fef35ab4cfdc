import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../random.ts'
import { type System, startSystem } from '../stack/system.ts'
import { FUZZ_ENV, fuzz, isLevel, prepare } from './fuzz/fuzz.ts'
import { createGenerator } from './fuzz/generate.ts'
import { createFuzzTokens } from './fuzz/tokens.ts'

const REQUESTS = 50_000
/** A minute of two idle cores; a busy machine takes its time. */
const TIMEOUT_MS = 900_000

let system: System
beforeAll(async () => {
  system = await startSystem({ env: FUZZ_ENV })
  await prepare(system)
})
afterAll(() => system?.stop())

it('sends the same requests for the same seed', () => {
  const tokens = createFuzzTokens(system.jwtSecret, 5)
  const sent = (seed: number): string[] => {
    const next = createGenerator(createRandom(seed), tokens)
    return Array.from({ length: 200 }, () => next().bytes.toString('latin1'))
  }
  expect(sent(1)).toEqual(sent(1))
  expect(sent(1)).not.toEqual(sent(2))
})

it(
  `${REQUESTS} requests of every kind of nonsense are answered, refused and forgotten`,
  async () => {
    const report = await fuzz(system, { requests: REQUESTS, seed: 20_250_101 })
    const { findings, requests, unexpected5xx, crashes, accepted, unanswered } = report
    expect(findings).toEqual([])
    expect({ requests, unexpected5xx, crashes, accepted, unanswered }).toEqual({
      requests: REQUESTS,
      unexpected5xx: 0,
      crashes: 0,
      accepted: 0,
      unanswered: 0,
    })
    // They got everywhere: a fuzz that ends at the first door shows nothing about the rooms behind.
    for (const status of [200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 431]) {
      expect(report.statuses[status], `status ${status}`).toBeGreaterThan(0)
    }
    expect(isLevel(report.memoryMb), report.memoryMb.join(', ')).toBe(true)
    expect((await system.api.get('/readyz')).status).toBe(200)
    const unforeseen = system.apis[0]?.logs.filter(
      ({ level }) => level === 'error' || level === 'fatal',
    )
    expect(unforeseen).toEqual([])
  },
  TIMEOUT_MS,
)
