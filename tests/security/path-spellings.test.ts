import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../random.ts'
import { type System, startSystem } from '../stack/system.ts'
import { createLane, type Lane } from './fuzz/connection.ts'
import { strangePaths } from './fuzz/paths.ts'
import { write } from './fuzz/request.ts'

const TARGETS = [
  '/admin/queues',
  '/admin/queues/api/queues',
  '/admin/queues/static/favicon.ico',
  '/admin/login',
]
const EACH = 300

let system: System
let lane: Lane
beforeAll(async () => {
  system = await startSystem({ workers: 0 })
  lane = createLane(Number(new URL(system.apis[0]?.url ?? '').port))
})
afterAll(async () => {
  lane?.close()
  await system?.stop()
})

async function statusOf(path: string, token?: string): Promise<number | string> {
  const headers: [string, string][] =
    token === undefined ? [] : [['Authorization', `Bearer ${token}`]]
  const bytes = write({ method: 'GET', path, headers })
  const result = await lane.send({
    kind: 'path',
    bytes,
    method: 'GET',
    whole: true,
    mustFail: true,
  })
  return result.kind === 'answered' ? (result.answers[0]?.status ?? 'nothing') : result.kind
}

/** An empty query, a whole address and the one slash that is redirected are no other spelling. */
function isThePathItself(spelled: string, path: string): boolean {
  const [plain = '', query] = spelled.replace(/^https?:\/\/[^/?]*/i, '').split('?')
  return [path, `${path}/`].includes(plain) && !query?.includes('%')
}

/** `/admin/../login` is a spelling of `/login`, where everybody is welcome. */
function leadsElsewhere(spelled: string): boolean {
  return URL.parse(spelled, 'http://localhost')?.pathname === '/login'
}

it('the paths themselves open to an admin', async () => {
  const token = await system.token('root', 'admin')
  for (const path of TARGETS) expect(await statusOf(path, token)).toBe(200)
})

it.each(TARGETS)(
  `${EACH} other spellings of %s reach nothing, not even for an admin`,
  async (path) => {
    const token = await system.token('root', 'admin')
    const reached = []
    let tried = 0
    for (const spelled of strangePaths(path, EACH, createRandom(path.length))) {
      if (isThePathItself(spelled, path) || leadsElsewhere(spelled)) continue
      tried++
      const [admin, nobody] = [await statusOf(spelled, token), await statusOf(spelled)]
      // 401: spelled plainly, below the dashboard, and nothing there.
      if (![400, 404].includes(admin as number) || ![400, 401, 404].includes(nobody as number)) {
        reached.push(`${JSON.stringify(spelled)}: ${admin}, ${nobody}`)
      }
    }
    expect(reached).toEqual([])
    expect(tried).toBeGreaterThan(EACH * 0.85)
  },
)
