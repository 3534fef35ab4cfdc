import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'])
if (hasPython.status !== 0)
  console.log('The tests of the Python example are skipped: Python 3.9 is not on PATH.')

const folder = fromRoot('examples/python')

/** Runs Python in the folder of the example. @returns the lines that it printed */
async function python(args: string[], env: Record<string, string> = {}): Promise<string[]> {
  const { stdout } = await promisify(execFile)('python3', args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], PYTHONDONTWRITEBYTECODE: '1', ...env },
    timeout: 50_000,
  })
  return stdout.trimEnd().split('\n')
}

describe.skipIf(hasPython.status !== 0)('the Python example', () => {
  const admin = { ADMIN_USER: 'root', ADMIN_PASSWORD: 'a wall of wet slate' }
  let system: System
  beforeAll(async () => {
    system = await startSystem({ env: admin })
  })
  afterAll(() => system?.stop())

  it('prints what its README shows', async () => {
    const readme = readFileSync(`${folder}/README.md`, 'utf8')
    const shown = /\n```\n(A concert[\s\S]*?)\n```/.exec(readme)?.[1]?.split('\n')
    const printed = await python(['main.py'], { ...admin, BASE_URL: system.apis[0]?.url ?? '' })
    expect(printed).toEqual(shown)
  })

  it('books with the lines that its README shows', async () => {
    const token = await system.token('root', 'admin')
    await system.api.post('/initialize', { eventId: 1001, totalTickets: 5 }, { token })
    const key = await system.api.post(
      '/api-keys',
      { name: 'shop', scopes: ['bookings:write'] },
      { token },
    )
    const readme = readFileSync(`${folder}/README.md`, 'utf8')
    const lines = /```python\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const script = lines.replace('http://localhost:3000', system.apis[0]?.url ?? '')
    const printed = await python(['-c', script], { KEY: key.body.key })
    expect(printed.join()).toContain("'outcome': 'booked'")
  })

  describe('repeats', () => {
    const seen: { method: string; path: string; key: unknown }[] = []

    /** Answers one request after the other as the test says. @returns the address */
    async function answerWith(...answers: ((response: ServerResponse) => void)[]): Promise<string> {
      seen.length = 0
      const server = createServer((request: IncomingMessage, response) => {
        const { method = '', url: path = '', headers } = request
        seen.push({ method, path, key: headers['idempotency-key'] })
        request.resume().on('end', () => answers.shift()?.(response))
      })
      server.listen(0, '127.0.0.1')
      onTestFinished(() => void server.close())
      await once(server, 'listening')
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }
    const json =
      (status: number, body: object, headers: Record<string, string> = {}) =>
      (response: ServerResponse) =>
        void response.writeHead(status, headers).end(JSON.stringify(body))
    const book = (url: string) =>
      python([
        '-c',
        `from ticket_line import TicketLine, TicketLineError
try:
    print(TicketLine('${url}', 'key').book(1, 'ada')['outcome'])
except TicketLineError as error:
    print(error.status, error.code)`,
      ])

    it('a command after a lost connection, 429 and 503, with the same idempotency key', async () => {
      const url = await answerWith(
        (response) => void response.socket?.destroy(),
        json(503, { code: 'busy' }, { 'retry-after': '0' }),
        json(429, { message: 'Too many' }, { 'retry-after': '1' }),
        json(200, { outcome: 'booked' }),
      )
      expect(await book(url)).toEqual(['booked'])
      expect(seen).toHaveLength(4)
      expect(seen[0]?.key).toBeTruthy()
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1)
    })

    it('a poll until the job is done, and never the command that was accepted', async () => {
      const url = await answerWith(
        json(202, { jobId: 'j' }, { location: '/jobs/j' }),
        json(200, { state: 'queued' }, { 'retry-after': '0' }),
        json(503, { code: 'unavailable' }, { 'retry-after': '0' }),
        json(200, { state: 'done', status: 409, body: { code: 'already_booked' } }),
      )
      expect(await book(url)).toEqual(['409 already_booked'])
      expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
        'POST /book',
        'GET /jobs/j',
        'GET /jobs/j',
        'GET /jobs/j',
      ])
    })

    it('nothing that was refused for good', async () => {
      const url = await answerWith(json(403, { code: 'forbidden', detail: 'No.' }))
      expect(await book(url)).toEqual(['403 forbidden'])
      expect(seen).toHaveLength(1)
    })
  })
})
