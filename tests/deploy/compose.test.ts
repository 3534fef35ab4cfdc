import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { outputOf } from '../stack/output.ts'

const compose = readFileSync(fromRoot('docker-compose.yml'), 'utf8')
/** The text of each service by its name. */
const services = new Map(
  (compose.split(/^services:\n/m)[1]?.split(/^networks:\n/m)[0] ?? '')
    .split(/^ {2}(?=[\w-]+:(?: &\w+)?\n)/m)
    .flatMap((text): [string, string][] => {
      const name = /^([\w-]+):/.exec(text)?.[1]
      return name === undefined ? [] : [[name, text]]
    }),
)
const textOf = (name: string): string => services.get(name) ?? ''
/** The settings of a service by name: its own, and those of the blocks that it merges. */
function settingsOf(text: string): Map<string, string> {
  const shared = /<<: \[(.*)\]/.exec(text)?.[1]?.match(/\w+/g) ?? []
  const blocks = shared.map((name) => compose.split(`: &${name}\n`)[1]?.split('\n\n')[0] ?? '')
  return new Map(
    [...blocks, text].flatMap((block) =>
      [...block.matchAll(/^ +([A-Z_]+): (.+)$/gm)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    ),
  )
}
/** The names of the secrets in the settings of a service. */
const secretsOf = (text: string): string[] =>
  [
    ...new Set(
      [...settingsOf(text).values()].flatMap(
        (value) => /(?<=\$\{)\w*(?:PASSWORD|SECRET|TOKEN|PRIVATE)\w*/.exec(value)?.[0] ?? [],
      ),
    ),
  ].toSorted()

describe('docker-compose.yml', () => {
  it('never puts a password into a URL', () => {
    expect(compose.match(/^.*:\/\/[^\s]*\$\{[A-Z_]*(PASSWORD|SECRET).*$/gm)).toBeNull()
  })

  it('runs every service without root, without capabilities and on a read-only file system', () => {
    expect(services.size).toBeGreaterThan(9)
    for (const [name, text] of services)
      expect(text, name).toMatch(name === 'proxy-tls' ? / {4}<<: \*proxy\n/ : / {4}<<: \*service\n/)
    const shared = compose.slice(compose.indexOf('x-service:'), compose.indexOf('x-process:'))
    for (const line of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true']) {
      expect(shared).toContain(line)
    }
    expect(shared).toMatch(/ mem_limit: \d+m\n +cpus: .+\n +pids_limit: \d+\n/)
    expect(compose).not.toMatch(/cap_add|privileged|user: "?(?:0|root)/)
    for (const name of ['postgres', 'redis', 'database-roles', 'backup', 'restore']) {
      expect(textOf(name), name).toMatch(/^ {4}user: (?:postgres|redis)$/m)
    }
  })

  it('gives each program only the secrets that it needs', () => {
    const secrets = [...services].map(([name, text]) => [name, secretsOf(text)] as const)
    expect(Object.fromEntries(secrets.filter(([, names]) => names.length > 0))).toEqual({
      postgres: ['POSTGRES_PASSWORD'],
      redis: ['REDIS_ADMIN_PASSWORD', 'REDIS_PASSWORD'],
      'database-roles': [
        'BACKUP_PASSWORD',
        'DATABASE_PASSWORD',
        'MIGRATION_PASSWORD',
        'POSTGRES_PASSWORD',
      ],
      // Its own password replaces the one of the services.
      migrate: ['MIGRATION_PASSWORD'],
      api: [
        'ADMIN_PASSWORD',
        'DATABASE_PASSWORD',
        'JWT_PRIVATE_KEYS',
        'JWT_SECRET',
        'METRICS_TOKEN',
        'REDIS_PASSWORD',
        'WEBHOOK_SECRET_KEY',
      ],
      'booking-worker': ['DATABASE_PASSWORD', 'METRICS_TOKEN', 'REDIS_PASSWORD'],
      notifier: ['DATABASE_PASSWORD', 'METRICS_TOKEN', 'REDIS_PASSWORD', 'WEBHOOK_SECRET_KEY'],
      ops: ['DATABASE_PASSWORD', 'REDIS_PASSWORD'],
      backup: ['BACKUP_PASSWORD'],
      grafana: ['GRAFANA_PASSWORD'],
    })
    const superuser = /POSTGRES_USER: (\w+)/.exec(textOf('postgres'))?.[1]
    const users = [...compose.matchAll(/(?:DATABASE_USER|PGUSER): (\w+)/g)].map(([, user]) => user)
    expect(users).toEqual([
      'ticket_line_service',
      superuser,
      'ticket_line_migration',
      'ticket_line_backup',
    ])
  })

  it('has no default for a secret, and its first lines generate all of them', () => {
    const required = new Set(compose.match(/(?<=\$\{)\w+(?=:\?)/g))
    const loop = /^# +for name in ([\w\s\\#]+);/m.exec(compose)?.[1] ?? ''
    expect(loop.match(/\w+/g)?.toSorted()).toEqual([...required].toSorted())
    expect(compose).not.toMatch(/\$\{\w*(?:PASSWORD|SECRET)\w*:-[^}]/)
  })

  it('starts Redis with two users, without their passwords in its arguments', async () => {
    // Replaces redis-server and prints its arguments and its input.
    const folder = await mkdtemp(path.join(tmpdir(), 'redis-stub-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(path.join(folder, 'redis-server'), '#!/bin/sh\necho "$@"\ncat\n', {
      mode: 0o755,
    })
    const env = {
      PATH: `${folder}${path.delimiter}${process.env['PATH']}`,
      CONFIGURATION: fromRoot('deploy/redis'),
      REDIS_PASSWORD: `a"b\\c #$d 'e/%\``,
      REDIS_ADMIN_PASSWORD: 'admin',
      REDIS_MAXMEMORY: '1gb',
      KEY_PREFIX: 'shop',
    }
    const stdio = ['ignore', 'pipe', 'inherit'] as const
    const shell = spawn('sh', [fromRoot('deploy/redis/start.sh')], { env, stdio: [...stdio] })
    const output = outputOf(shell)
    await once(shell, 'close')
    const [given, ...settings] = output().trimEnd().split('\n')
    expect(given).toBe('-')
    const digest = (text: string) => createHash('sha256').update(text).digest('hex')
    const service = settings.pop() ?? ''
    expect(settings).toEqual([
      'appendonly yes',
      'appendfsync everysec',
      'maxmemory-policy noeviction',
      'maxmemory 1gb',
      'save ""',
      `user default on #${digest('admin')} ~* &* +@all`,
    ])
    const rights = service.split(/\s+/)
    expect(rights.slice(0, 4)).toEqual([
      'user',
      'ticket-line',
      'on',
      `#${digest(env.REDIS_PASSWORD)}`,
    ])
    expect(rights.filter((right) => /^[~&]/.test(right))).toEqual([
      '~shop{s*}:*',
      '&shop{s*}:changes',
    ])
    expect(rights).toContain('+evalsha')
    expect(rights.join(' ')).not.toMatch(/@|flush|config|tickets/)
  })
})
