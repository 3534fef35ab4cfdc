import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { which } from '../../tools/dev-stack/commands.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { startSentinel } from '../../tools/dev-stack/redis-sentinel.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import type { Env } from '../stack/processes.ts'
import { startSystem } from '../stack/system.ts'

const USER = 'tickets'
const PASSWORD = 'a/b?c#d%e@f'

let folder: string
let certificate: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-tls-'))
  certificate = path.join(folder, 'certificate.pem')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Makes a self-signed certificate for 127.0.0.1. */
function makeCertificate(): void {
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', path.join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const args = ['req', '-x509', '-days', '1', ...key, ...subject, '-out', certificate]
  execFileSync('openssl', args, { stdio: 'ignore' })
}

const tlsSettings = (port: number): string[] => [
  `tls-port ${port}`,
  `tls-cert-file ${certificate}`,
  `tls-key-file ${path.join(folder, 'key.pem')}`,
  `tls-ca-cert-file ${certificate}`,
  'tls-auth-clients no',
]

/** Starts a Redis with TLS and a user. @returns its port with TLS, and its address without */
async function startTlsRedis(name: string, settings: string[] = []) {
  const port = await freePort()
  const server = await startRedis({
    folder: path.join(folder, name),
    from: 'local',
    settings: [...tlsSettings(port), `user ${USER} on ">${PASSWORD}" ~* &* +@all`, ...settings],
  })
  onTestFinished(() => server.stop())
  return { port, url: server.url }
}

const kinds: [name: string, start: () => Promise<Env>][] = [
  [
    'one server',
    async () => {
      const { port } = await startTlsRedis('single')
      return { REDIS_HOST: '127.0.0.1', REDIS_PORT: String(port) }
    },
  ],
  [
    'a cluster',
    async () => {
      const { port, url } = await startTlsRedis('cluster', [
        'cluster-enabled yes',
        'tls-cluster yes',
      ])
      const redis = new Redis(url)
      onTestFinished(() => redis.disconnect())
      await redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
      const isUp = async () => String(await redis.cluster('INFO')).includes('cluster_state:ok')
      expect(await until(isUp, { timeoutMs: 20_000 })).toBe(true)
      return { REDIS_CLUSTER: `127.0.0.1:${port}`, SHARDS: '2' }
    },
  ],
  [
    'a master with Sentinels',
    async () => {
      const master = await startTlsRedis('master')
      const port = await freePort()
      const sentinel = await startSentinel({
        folder: path.join(folder, 'sentinel'),
        settings: [
          ...tlsSettings(port),
          'tls-replication yes',
          `sentinel monitor mymaster 127.0.0.1 ${master.port} 1`,
          `sentinel auth-pass mymaster ${new URL(master.url).password}`,
        ],
      })
      onTestFinished(() => sentinel.stop())
      return { REDIS_SENTINELS: `127.0.0.1:${port}` }
    },
  ],
]

describe.runIf(which('openssl'))('Redis with TLS and an ACL user', () => {
  beforeAll(makeCertificate)

  it.each(kinds)('serves lines as %s', { timeout: 120_000 }, async (_name, start) => {
    const untrusted = {
      REDIS_URL: '',
      ...(await start()),
      REDIS_TLS: 'true',
      REDIS_USER: USER,
      REDIS_PASSWORD: PASSWORD,
    }
    const env = { ...untrusted, NODE_EXTRA_CA_CERTS: certificate }
    const system = await startSystem({ env })
    onTestFinished(() => system.stop())
    const body = { eventId: 1, totalTickets: 1 }
    const token = await system.token('olga', 'organizer')
    expect((await system.api.post('/initialize', body, { token })).status).toBe(201)

    const booked = await system.api.post('/book', { eventId: 1 }, { token })

    expect(booked.status).toBe(200)
    expect((await runOps(['status'], system.env)).exitCode).toBe(0)
    const { NODE_EXTRA_CA_CERTS: _trusted, ...withoutTrust } = system.env
    expect((await runOps(['status'], withoutTrust)).exitCode).toBe(3)
  })
})
