/**
 * The program behind `npm run fuzz -- [--requests 100000] [--seed 7] [--json]`. Its last output
 * line is the result.
 */
import { parseArgs } from 'node:util'
import { startServers } from '../../stack/servers.ts'
import { startSystem } from '../../stack/system.ts'
import { createEvents, FUZZ_ENV, fuzz, isMemoryLevel } from './fuzz.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    json: { type: 'boolean', default: false },
  },
})
const options = { requests: Number(values.requests), seed: Number(values.seed) }
if (
  !Number.isInteger(options.requests) ||
  options.requests < 1 ||
  !Number.isInteger(options.seed)
) {
  throw new Error('--requests and --seed must be whole numbers')
}

const servers = await startServers()
const system = await startSystem({ servers, env: FUZZ_ENV })
try {
  await createEvents(system)
  const startedAt = performance.now()
  const report = await fuzz(system, {
    ...options,
    onProgress: (done, memoryMb) => console.log(`${done} sent, the API uses ${memoryMb} MB`),
  })
  const seconds = (performance.now() - startedAt) / 1000
  const { requests, unexpected5xx, crashes, accepted, unanswered, statuses, findings, memoryMb } =
    report
  for (const finding of findings) console.log(finding)
  const perSecond = Math.round(requests / seconds)
  console.log(
    `seed ${options.seed}: ${perSecond} requests/s, ${unanswered} unanswered, by status ${JSON.stringify(statuses)}`,
  )
  if (!isMemoryLevel(memoryMb)) console.log(`memory grew: ${memoryMb.join(', ')} MB`)
  const last = { requests, unexpected5xx, crashes, accepted }
  const parts = Object.entries(last).map(([name, value]) => `${name} ${value}`)
  console.log(values.json ? JSON.stringify(last) : parts.join(', '))
  const passed = findings.length === 0 && crashes === 0 && isMemoryLevel(memoryMb)
  process.exitCode = passed ? 0 : 1
} finally {
  await system.stop()
  await servers.stop()
}
