import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { run } from '../../tools/dev-stack/commands.mjs'
import { dataDir, fromRoot, readText } from '../../tools/dev-stack/files.mjs'
import { takeLock } from '../../tools/dev-stack/lock.mjs'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import { removeStalePostgres } from '../../tools/dev-stack/postgres-data.mjs'
import {
  commandLine,
  identify,
  isAlive,
  processes,
  stateOf,
} from '../../tools/dev-stack/processes.mjs'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { keptSecret } from '../../tools/dev-stack/settings.mjs'
import { explain } from '../../tools/dev-stack/terminal.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-data-folder-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** An unrelated process, such as a later owner of a process id. */
async function startUnrelatedProcess() {
  const child = spawn('sleep', ['600'])
  await once(child, 'spawn')
  onTestFinished(() => void child.kill('SIGKILL'))
  return { pid: child.pid ?? 0, end: () => child.kill('SIGKILL') }
}

describe('the identity of a process', () => {
  it('distinguishes a process from a later one with the same id', () => {
    const me = identify(process.pid)
    expect(stateOf(me)).toBe('running')
    expect(stateOf({ ...me, started: 'earlier' })).toBe('gone')
  })

  it('calls a running process "unknown" if its start time was not recorded', () => {
    expect(stateOf({ pid: process.pid })).toBe('unknown')
  })

  it('counts a process of another user as alive', ({ skip }) => {
    skip(process.getuid?.() !== 0, 'only root can become another user')
    process.seteuid?.(65_534)
    onTestFinished(() => process.seteuid?.(0))
    expect(isAlive(1)).toBe(true)
  })

  it('reports a process as gone before its parent has reaped it', async () => {
    const { pid, end } = await startUnrelatedProcess()
    const known = identify(pid)
    end()
    expect(await until(() => stateOf(known) === 'gone', { timeoutMs: 5_000 })).toBe(true)
  })

  it('finds the parent and the whole command line even in a narrow terminal', async () => {
    const before = process.env['COLUMNS']
    process.env['COLUMNS'] = '20'
    onTestFinished(() => {
      if (before === undefined) delete process.env['COLUMNS']
      else process.env['COLUMNS'] = before
    })
    const { pid } = await startUnrelatedProcess()
    expect(await until(() => commandLine(pid) === 'sleep 600', { timeoutMs: 5_000 })).toBe(true)
    expect(processes()).toContainEqual([pid, process.pid, 'sleep 600'])
  })
})

describe('the lock of a data folder', () => {
  const holder = `
    const { takeLock } = await import(${JSON.stringify(fromRoot('tools/dev-stack/lock.mjs'))})
    console.log(JSON.stringify(takeLock(process.argv[1])))
    setTimeout(() => {}, 600_000)`

  /**
   * Takes the lock in a process of its own: a kernel lock or, if `PATH` hides `flock`, a lock file.
   */
  async function take(file: string, env: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', holder, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [output] = (await once(child.stdout, 'data')) as [Buffer]
    return { child, result: JSON.parse(output.toString()) }
  }

  it('gives the lock to one process and releases it when that process is killed', async () => {
    const file = path.join(folder, 'one.lock')
    const first = await take(file)
    expect(first.result).toEqual({ taken: true })
    expect(takeLock(file)).toMatchObject({
      taken: false,
      certain: true,
      holder: { pid: first.child.pid },
    })

    first.child.kill('SIGKILL')
    await once(first.child, 'exit')

    expect((await take(file)).result).toEqual({ taken: true })
  })

  it('does not take the lock from a holder whose start time is unknown', async () => {
    const file = path.join(folder, 'unknown.lock')
    const { pid } = await startUnrelatedProcess()
    writeFileSync(file, JSON.stringify({ pid }))
    const result = takeLock(file)
    // A kernel lock is taken, because the kernel knows that nobody holds it.
    if (!result.taken) expect(result).toEqual({ taken: false, holder: { pid }, certain: false })
  })
})

describe('a data folder', () => {
  it('refuses a PostgreSQL folder without PG_VERSION and leaves its files alone', async () => {
    const data = path.join(folder, 'no-version/data')
    mkdirSync(data, { recursive: true })
    writeFileSync(path.join(data, 'precious'), 'rows')

    await expect(startPostgres({ folder: path.dirname(data) })).rejects.toThrow(
      /no PG_VERSION.*npm run reset/s,
    )

    expect(readFileSync(path.join(data, 'precious'), 'utf8')).toBe('rows')
  })

  it('keeps the pid file of a process that may be our PostgreSQL', async () => {
    const data = path.join(folder, 'doubt')
    mkdirSync(data)
    const pidFile = path.join(data, 'postmaster.pid')
    const child = spawn('sleep', ['600'], { argv0: 'postgres' })
    await once(child, 'spawn')
    onTestFinished(() => void child.kill('SIGKILL'))
    await until(() => commandLine(child.pid ?? 0)?.startsWith('postgres') === true, {
      timeoutMs: 5_000,
    })
    writeFileSync(pidFile, `${child.pid}\n${data}\n`)

    await removeStalePostgres(data, undefined)

    expect(existsSync(pidFile)).toBe(true)
    expect(isAlive(child.pid ?? 0)).toBe(true)
  })

  it('removes the pid file of a PostgreSQL whose id belongs to another program now', async () => {
    const data = path.join(folder, 'reused')
    mkdirSync(data)
    const pidFile = path.join(data, 'postmaster.pid')
    const { pid } = await startUnrelatedProcess()
    await until(() => commandLine(pid) === 'sleep 600', { timeoutMs: 5_000 })
    writeFileSync(pidFile, `${pid}\n${data}\n`)

    await removeStalePostgres(data, undefined)

    expect(existsSync(pidFile)).toBe(false)
    expect(isAlive(pid)).toBe(true)
  })

  it('ends the servers of the previous start in the same data folder', async () => {
    const paths = { postgres: path.join(folder, 'pg'), redis: path.join(folder, 'redis') }
    const start = () =>
      Promise.all([startPostgres({ folder: paths.postgres }), startRedis({ folder: paths.redis })])
    const first = await start()
    const second = await start()
    onTestFinished(async () => {
      await Promise.all([...first, ...second].map((server) => server.stop()))
    })

    await Promise.all(first.map((server) => server.ended()))
    for (const server of second) {
      expect(
        await Promise.race([server.ended().then(() => 'ended'), Promise.resolve('runs')]),
      ).toBe('runs')
    }
  })
})

describe('damaged data', () => {
  it('reports damaged Redis data with cause and remedy and tries no other Redis', async () => {
    const damaged = path.join(folder, 'damaged-redis')
    await (await startRedis({ folder: damaged })).stop()
    const manifest = path.join(damaged, 'appendonlydir/appendonly.aof.manifest')
    writeFileSync(
      existsSync(manifest) ? manifest : path.join(damaged, 'appendonly.aof'),
      'not what Redis wrote\n',
    )

    const start = startRedis({ folder: damaged })

    await expect(start).rejects.toThrow(
      /^Redis cannot read its data: .*redis-check-aof.*npm run reset -- redis/s,
    )
    await expect(start).rejects.not.toThrow('install redis-server')
  })

  it('reports damaged PostgreSQL data with cause and remedy', async () => {
    const damaged = path.join(folder, 'damaged-postgres')
    await (await startPostgres({ folder: damaged })).stop()
    truncateSync(path.join(damaged, 'data/global/pg_control'), 100)

    await expect(startPostgres({ folder: damaged })).rejects.toThrow(
      /^PostgreSQL did not start: could not read file "global\/pg_control".*npm run reset/s,
    )
  })

  it('writes a new secret into an empty secret file', () => {
    const name = `empty-${process.pid}-secret`
    const file = path.join(dataDir, name)
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(file, '')
    onTestFinished(() => rmSync(file))
    expect(keptSecret(name)).toMatch(/^[\w-]{32}$/)
    expect(keptSecret(name)).toBe(readFileSync(file, 'utf8'))
  })
})

describe('npm run reset', () => {
  it('deletes the data of npm start and leaves other files alone', async () => {
    const data = path.join(folder, 'reset')
    for (const name of ['postgres/data', 'redis', 'mine'])
      mkdirSync(path.join(data, name), { recursive: true })
    for (const name of ['jwt-secret', 'redis/password', 'notes'])
      writeFileSync(path.join(data, name), 'x')
    const reset = (...args: string[]) =>
      run(process.execPath, [fromRoot('scripts/reset.mjs'), ...args], {
        env: { ...process.env, DATA_DIR: data },
      })

    await reset('redis')
    expect(readdirSync(data).sort()).toEqual([
      'jwt-secret',
      'mine',
      'notes',
      'postgres',
      'start.lock',
    ])
    await reset()
    expect(readdirSync(data).sort()).toEqual(['mine', 'notes', 'start.lock'])
  })
})

describe('a file system error', () => {
  it('explains a file system error in one sentence that names the path', () => {
    const file = path.join(folder, 'a-file')
    writeFileSync(file, '')
    const explanationOf = (work: () => unknown) => {
      try {
        work()
      } catch (error) {
        return explain(error)
      }
      return undefined
    }
    expect(explanationOf(() => mkdirSync(file))).toBe(
      `${file} is a file, but a folder is needed there. Move it away.`,
    )
    expect(explanationOf(() => readFileSync(folder))).toMatch(/is a folder|^Error/)
  })

  it('names the owner of a file that cannot be read', ({ skip }) => {
    skip(process.getuid?.() !== 0, 'only root can become another user')
    const theirs = path.join(folder, 'theirs')
    mkdirSync(theirs, { mode: 0o700 })
    chmodSync(folder, 0o755)
    process.seteuid?.(65_534)
    onTestFinished(() => process.seteuid?.(0))
    let explanation = ''
    try {
      readText(path.join(theirs, 'PG_VERSION'))
    } catch (error) {
      explanation = explain(error)
    }
    expect(explanation).toContain(`${theirs} belongs to user 0, and this runs as user 65534`)
    expect(explanation).toContain(`sudo chown -R 65534 '${theirs}'`)
  })
})
