import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../random.ts'
import { type System, startSystem } from '../stack/system.ts'
import { createFuzzConnection, type FuzzConnection } from './fuzz/connection.ts'
import { unusualPaths } from './fuzz/paths.ts'
import { write } from './fuzz/request.ts'

const PATHS = [
  '/admin/queues',
  '/admin/queues/api/queues',
  '/admin/queues/static/favicon.ico',
  '/admin/login',
]
const SPELLINGS = 300

let system: System
let connection: FuzzConnection
beforeAll(async () => {
  system = await startSystem({ workers: 0 })
  connection = createFuzzConnection(Number(new URL(system.apis[0]?.url ?? '').port))
})
afterAll(async () => {
  connection?.close()
  await system?.stop()
})

async function statusOf(path: string, token?: string): Promise<number | string> {
  const headers: [string, string][] =
    token === undefined ? [] : [['Authorization', `Bearer ${token}`]]
  const bytes = write({ method: 'GET', path, headers })
  const result = await connection.send({
    kind: 'path',
    bytes,
    method: 'GET',
    whole: true,
    mustFail: true,
  })
  return result.kind === 'answered' ? (result.responses[0]?.status ?? 'nothing') : result.kind
}

/** An empty query, an absolute URL or one final slash (redirected) still spell the path itself. */
function isThePathItself(spelling: string, path: string): boolean {
  const [plain = '', query] = spelling.replace(/^https?:\/\/[^/?]*/i, '').split('?')
  return [path, `${path}/`].includes(plain) && !query?.includes('%')
}

/** `/admin/../login` is a spelling of `/login`, which is open to everybody. */
function leadsElsewhere(spelling: string): boolean {
  return URL.parse(spelling, 'http://localhost')?.pathname === '/login'
}

it('opens the dashboard paths to an admin', async () => {
  const token = await system.token('root', 'admin')
  for (const path of PATHS) expect(await statusOf(path, token)).toBe(200)
})

it.each(PATHS)(`refuses ${SPELLINGS} other spellings of %s, even to an admin`, async (path) => {
  const token = await system.token('root', 'admin')
  const reached = []
  let tried = 0
  for (const spelling of unusualPaths(path, SPELLINGS, createRandom(path.length))) {
    if (isThePathItself(spelling, path) || leadsElsewhere(spelling)) continue
    tried++
    const [admin, nobody] = [await statusOf(spelling, token), await statusOf(spelling)]
    // 401: an ordinary path below the dashboard that has no route.
    if (![400, 404].includes(admin as number) || ![400, 401, 404].includes(nobody as number)) {
      reached.push(`${JSON.stringify(spelling)}: ${admin}, ${nobody}`)
    }
  }
  expect(reached).toEqual([])
  expect(tried).toBeGreaterThan(SPELLINGS * 0.85)
})
