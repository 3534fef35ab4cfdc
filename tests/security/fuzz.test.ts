import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../random.ts'
import { type System, startSystem } from '../stack/system.ts'
import { createEvents, FUZZ_ENV, fuzz, isMemoryLevel } from './fuzz/fuzz.ts'
import { createGenerator } from './fuzz/generate.ts'
import { createFuzzTokens } from './fuzz/tokens.ts'

const REQUESTS = 50_000
/** The run takes a minute on two idle cores; a busy machine needs longer. */
const TIMEOUT_MS = 900_000

let system: System
beforeAll(async () => {
  system = await startSystem({ env: FUZZ_ENV })
  await createEvents(system)
})
afterAll(() => system?.stop())

it('generates the same fuzz requests from the same seed', () => {
  const tokens = createFuzzTokens(system.jwtSecret, 5)
  const sent = (seed: number): string[] => {
    const next = createGenerator(createRandom(seed), tokens)
    return Array.from({ length: 200 }, () => next().bytes.toString('latin1'))
  }
  expect(sent(1)).toEqual(sent(1))
  expect(sent(1)).not.toEqual(sent(2))
})

it(
  `answers and refuses ${REQUESTS} malformed requests without crashing or leaking memory`,
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
    // The requests reached every layer; a run that stops at the first check would prove little.
    for (const status of [200, 201, 400, 401, 403, 404, 405, 409, 410, 413, 415, 431]) {
      expect(report.statuses[status], `status ${status}`).toBeGreaterThan(0)
    }
    expect(report.streams).toBeGreaterThan(0)
    expect(isMemoryLevel(report.memoryMb), report.memoryMb.join(', ')).toBe(true)
    expect((await system.api.get('/readyz')).status).toBe(200)
    const unexpectedErrors = system.apis[0]?.logs.filter(
      ({ level }) => level === 'error' || level === 'fatal',
    )
    expect(unexpectedErrors).toEqual([])
  },
  TIMEOUT_MS,
)
