import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { PROBLEMS } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

const PAGE = readFileSync(fromRoot('docs/integrating.md'), 'utf8')
const ADMIN_PASSWORD = 'the password of the first admin'
/** A record separator. No response contains it. */
const END_OF_BLOCK = '\u001e'

/** A block of commands, and what the page shows as their last response. */
interface Example {
  script: string
  shown?: Response
}

interface Response {
  /** Empty if the page shows the body only, or the last line of a text. */
  head: string[]
  // biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
  body: any
}

function examplesOf(page: string): Example[] {
  const examples: Example[] = []
  for (const [, language, text = ''] of page.matchAll(/^```(sh|json|http|text)\n(.*?)^```/gms)) {
    const last = examples.at(-1)
    if (language === 'sh') examples.push({ script: text })
    else if (last !== undefined) last.shown = parse(text)
  }
  return examples
}

/** Parses a text, a body, or a status line, headers, an empty line and a body. */
function parse(text: string): Response {
  if (text.startsWith('{')) return { head: [], body: JSON.parse(text) }
  if (!text.startsWith('HTTP/')) return { head: [], body: text.trim() }
  const [head = '', body = ''] = text.replaceAll('\r', '').split('\n\n')
  return {
    head: head.trim().split('\n'),
    body: body.trim() === '' ? undefined : JSON.parse(body),
  }
}

/** Writes the files that the page shows. The first line of each is a comment with its name. */
function writeFiles(page: string, url: string, folder: string): void {
  for (const [, name = '', text = ''] of page.matchAll(/^```ts\n\/\/ ([\w.]+)\n(.*?)^```/gms)) {
    writeFileSync(path.join(folder, name), text.replaceAll('http://localhost:3000', url))
  }
}

/** Runs all examples in one shell, and returns what each of them has printed. */
async function run(examples: Example[], url: string, folder: string): Promise<string[]> {
  const scripts = examples.map(({ script }) => `${script}\nprintf '${END_OF_BLOCK}'`)
  const script = scripts.join('\n').replaceAll('http://localhost:3000', url)
  const PATH = `${path.dirname(process.execPath)}:${process.env['PATH']}`
  const env = { ...process.env, PATH }
  const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: folder, env })
  return stdout.split(END_OF_BLOCK)
}

/** The last response that an example has printed: with its head after `-i`, else its last line. */
function lastResponseOf(printed: string): Response {
  const withHead = printed.lastIndexOf('HTTP/1.1 ')
  return parse(withHead < 0 ? (printed.trim().split('\n').at(-1) ?? '') : printed.slice(withHead))
}

/** Replaces what differs from run to run: times, random ids, tokens, waits. */
function withoutChance<T>(value: T): T {
  const text = JSON.stringify(value)
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/"eyJ[^"]*"/g, '"<token>"')
    .replaceAll(/"whsec_[^"]*"/g, '"<secret>"')
    .replaceAll(/"kind":"key","id":"\w{16}"/g, '"kind":"key","id":"<key>"')
    .replaceAll(/"jobId":"[^"]*"/g, '"jobId":"<job>"')
    .replaceAll(/\/jobs\/[^"]*/g, '/jobs/<job>')
    .replaceAll(/retry-after: \d+/g, 'retry-after: <seconds>')
  return JSON.parse(text)
}

const lowerCase = (lines: string[]): string[] =>
  lines.map((line) => line.replace(/^[\w-]+(?=:)/, (name) => name.toLowerCase()))

let system: System
/** A folder with the admin's password, as `npm start` leaves it in the clone. */
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-integrating-'))
  mkdirSync(path.join(folder, '.data'))
  writeFileSync(path.join(folder, '.data/admin-password'), ADMIN_PASSWORD)
  // As `npm install` does it.
  mkdirSync(path.join(folder, 'node_modules/@ticket-line'), { recursive: true })
  symlinkSync(fromRoot('packages/client'), path.join(folder, 'node_modules/@ticket-line/client'))
  symlinkSync(fromRoot('examples'), path.join(folder, 'examples'))
  system = await startSystem({
    env: {
      ADMIN_USER: 'admin',
      ADMIN_PASSWORD,
      CORS_ORIGINS: 'https://tickets.example.com',
    },
  })
  // The event that `npm start` creates.
  const event = { eventId: 1001, totalTickets: 100 }
  await system.api.post('/initialize', event, { token: await system.token('root', 'admin') })
})
afterAll(async () => {
  await system?.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('docs/integrating.md', () => {
  it('shows the responses that its examples get, in the order of the page', async () => {
    const examples = examplesOf(PAGE)
    const url = system.apis[0]?.url ?? ''
    writeFiles(PAGE, url, folder)
    const printed = await run(examples, url, folder)

    for (const [index, { script, shown }] of examples.entries()) {
      if (shown === undefined) continue
      const actual = withoutChance(lastResponseOf(printed[index] ?? ''))
      const expected = withoutChance(shown)
      expect(actual.body, script).toEqual(expected.body)
      expect(lowerCase(actual.head), script).toEqual(
        expect.arrayContaining(lowerCase(expected.head)),
      )
    }
  })

  it('says of every error code what to do', () => {
    const codes = Object.keys(PROBLEMS)
    expect(codes.filter((code) => !PAGE.includes(`\`${code}\``))).toEqual([])
  })
})
