import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { signedHeaders } from '@ticket-line/webhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { codeBlocks } from '../stack/code-blocks.ts'
import { outputOf } from '../stack/output.ts'
import { type System, startSystem } from '../stack/system.ts'

const examples = codeBlocks('packages/client/README.md', 'ts')

/** In `tests`, so that the examples find the package. */
const folder = mkdtempSync(fromRoot('tests/docs/.examples-'))
afterAll(() => rmSync(folder, { recursive: true }))

function fileOf(words: string, extension = 'mts'): string {
  const index = examples.findIndex((code) => code.includes(words))
  expect(index, `an example with ${words}`).toBeGreaterThanOrEqual(0)
  const file = path.join(folder, `example-${index}.${extension}`)
  writeFileSync(file, examples[index] as string)
  return file
}

describe('the README of the client', () => {
  it('has examples that compile, with TypeScript 5 and 7', async () => {
    const files = examples.map((code, index) => {
      const file = path.join(folder, `checked-${index}.mts`)
      writeFileSync(file, code)
      return file
    })
    const flags = ['--noEmit', '--strict', '--noUncheckedIndexedAccess', '--types', 'node']
    const target = ['--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom']
    for (const bin of ['packages/client/node_modules/.bin/tsc', 'node_modules/.bin/tsc']) {
      const ignoreConfig = bin.startsWith('packages') ? [] : ['--ignoreConfig']
      await run(fromRoot(bin), [...flags, ...target, ...ignoreConfig, ...files])
    }
  })

  describe('has examples that work', () => {
    let system: System
    let env: NodeJS.ProcessEnv
    beforeAll(async () => {
      system = await startSystem()
      const token = await system.token('olga', 'organizer')
      const event = { eventId: 1001, totalTickets: 2, name: 'Concert by the sea' }
      expect((await system.api.post('/events', event, { token })).status).toBe(201)
      const scopes = ['events:write', 'bookings:write']
      const { body } = await system.api.post('/api-keys', { name: 'Shop', scopes }, { token })
      env = { ...process.env, BASE_URL: system.apis[0]?.url, KEY: body.key }
    })
    afterAll(() => system?.stop())

    it('books a ticket, once', async () => {
      const file = fileOf('already_booked')
      expect(await run(process.execPath, [file], { env })).toMatch(/^Ticket booked: 1001-\d+$/m)
      expect(await run(process.execPath, [file], { env })).toContain('Ada already has a ticket')
    })

    it('sells a ticket', async () => {
      const shown = await run(process.execPath, [fileOf('holdSeconds')], { env })
      expect(shown).toMatch(/^To be paid by \d{4}-.*Z$/m)
      expect(shown).toContain('Grace has a ticket')
    })

    it('shows a queue, and finds the decision again', async () => {
      const shown = await run(process.execPath, [fileOf('onProgress')], { env })
      expect(shown.match(/^Ticket booked$/gm)).toHaveLength(2)
    })

    it('reads a list', async () => {
      expect(await run(process.execPath, [fileOf('pagesOf')], { env })).toContain('by the sea')
    })
  })

  it('receives webhooks as in its example', async () => {
    const port = await freePort()
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
    const env = { ...process.env, PORT: String(port), WEBHOOK_SECRET: secret }
    const receiver = spawn(process.execPath, [fileOf('verifyWebhook')], { env })
    try {
      const shown = outputOf(receiver)
      const data = { epoch: 'e', eventId: 1001, no: 3, userId: 'ada' }
      const timestamp = '2030-01-31T18:00:00.000Z'
      const body = JSON.stringify({ type: 'waitlist.promoted', timestamp, data })
      const send = (headers: Record<string, string>) =>
        fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body }).catch(() => undefined)
      const listens = async () => (await send({})) !== undefined
      expect(await until(listens, { timeoutMs: 10_000 })).toBe(true)

      expect((await send({}))?.status).toBe(401)
      const signed = { ...signedHeaders('msg_1', new Date(), body, [secret]) }
      expect((await send(signed))?.status).toBe(204)
      expect(shown()).toContain('waitlist.promoted: ada')
    } finally {
      receiver.kill()
      await once(receiver, 'exit')
    }
  })
})
