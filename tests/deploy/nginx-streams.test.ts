import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { openStream } from '../stack/event-stream.ts'
import { type System, startSystem } from '../stack/system.ts'

const hasNginx = spawnSync('nginx', ['-v']).status === 0

/** Runs nginx with the configuration of Compose in front of an API. @returns its URL */
async function startNginx(system: System): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'nginx-'))
  const port = await freePort()
  const { host } = new URL(system.apis[0]?.url as string)
  const text = readFileSync(fromRoot('deploy/nginx/nginx.conf'), 'utf8')
    .replaceAll(' /tmp/', ` ${folder}/`)
    // Without Docker it may be a socket, which nginx cannot open by its path.
    .replace('/dev/stderr', 'stderr')
    .replace('set $api api:3000;', `set $api ${host};`)
    .replace('listen 8080 ', `listen 127.0.0.1:${port} `)
    .replaceAll('/etc/ticket-line', fromRoot('deploy/nginx'))
  writeFileSync(path.join(folder, 'nginx.conf'), text)
  const nginx = spawn('nginx', ['-c', path.join(folder, 'nginx.conf')], { stdio: 'inherit' })
  onTestFinished(async () => {
    if (nginx.kill('SIGTERM') && nginx.exitCode === null) await once(nginx, 'exit')
    await rm(folder, { recursive: true })
  })
  const url = `http://127.0.0.1:${port}`
  const isUp = async () => (await fetch(`${url}/livez`)).status === 200
  if (!(await until(isUp, { timeoutMs: 5000 }))) throw new Error('nginx does not answer')
  return url
}

it.skipIf(!hasNginx)(
  'passes each event of a stream, and its end, through nginx at once',
  async () => {
    const system = await startSystem({ env: { TRUST_PROXY_HOPS: '1' } })
    onTestFinished(() => system.stop())
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 10 }, { token })
    const url = await startNginx(system)

    const stream = await openStream(url, '/events/1/me/stream', { token })
    onTestFinished(() => stream.close())
    expect(stream.status).toBe(200)
    await stream.find(({ event }) => event === 'standing', 2000)
    const bookedAt = performance.now()
    await system.api.post('/book', { eventId: 1 }, { token })
    const booked = await stream.find(({ data }) => data.standing === 'booked', 2000)
    // nginx would hold an event back until it has 4 KiB of them.
    expect(booked.atMs - bookedAt).toBeLessThan(1500)
    expect(await until(() => stream.comments() > 0, { timeoutMs: 16_000 })).toBe(true)
    const stopped = system.apis[0]?.stop()
    expect(await stream.bye()).toBe('shutdown')
    await stopped
  },
  60_000,
)
