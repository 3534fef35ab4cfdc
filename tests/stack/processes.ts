import { existsSync } from 'node:fs'
import { type Child, startChild } from '../../tools/dev-stack/child.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

export type Env = Record<string, string>

/** A line that a service logged, parsed where it is JSON; `{ msg }` alone where it is not. */
export interface LogLine {
  level?: string
  msg?: string
  [field: string]: unknown
}

/** One running API or worker. */
export interface ServiceProcess {
  name: string
  pid: number
  /** The environment it was started with, to start another like it. */
  env: Env
  /** Where it serves HTTP: the API its calls, the worker its health and metrics. */
  url: string
  /** Everything it logged so far. */
  logs: LogLine[]
  exited: Child['exited']
  running(): boolean
  /** SIGTERM, and SIGKILL after the grace; resolves when it has ended. */
  stop(graceMs?: number): Promise<void>
  /** SIGKILL: no chance to finish anything. */
  kill(): Promise<void>
  /** SIGSTOP: it holds its connections and locks and does nothing. */
  pause(): void
  resume(): void
  /** Resolves with the first line, past or to come, that fits; rejects when none came in time. */
  waitForLog(fits: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>
}

export type ServiceName = 'api' | 'booking-worker'

/** Where a build of the product keeps what is run. */
export interface Build {
  script(service: ServiceName): string
  migrateScript: string
}

/** The build of this checkout. */
export const ownBuild: Build = {
  script: (service) => fromRoot('services', service, 'dist/main.js'),
  migrateScript: fromRoot('packages/db/dist/migrate.js'),
}

const startTimeoutMs = 40_000

/** Starts a built API and waits until `/readyz` says 200. `PORT` in `env` fixes its port (to start it again in the same place). */
export async function startApi(env: Env, build = ownBuild): Promise<ServiceProcess> {
  const api = await startService('api', env, build)
  await ready(api)
  return api
}

/** Starts a built worker and waits until its `/readyz` says 200. */
export async function startWorker(env: Env, build = ownBuild): Promise<ServiceProcess> {
  const worker = await startService('booking-worker', env, build)
  await ready(worker)
  return worker
}

/** Starts a service without waiting for anything: for tests of a start that must fail, or must wait. */
export async function startService(
  service: ServiceName,
  env: Env,
  build = ownBuild,
): Promise<ServiceProcess> {
  const script = build.script(service)
  if (!existsSync(script))
    throw new Error(`services/${service} is not built: run \`npm run build\` first`)
  return startScript(service, script, env)
}

/** Starts any script in the way of a service. */
export async function startScript(name: string, script: string, env: Env): Promise<ServiceProcess> {
  const port = env['PORT'] || String(await freePort())
  const logs: LogLine[] = []
  const child = await startChild({
    name,
    command: process.execPath,
    args: ['--enable-source-maps', script],
    // Nothing of the developer's own environment but what a process needs to run.
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      ...env,
      PORT: port,
      WORKER_PORT: port,
    },
    onLine: (line) => logs.push(parseLine(line)),
  })
  return {
    name,
    pid: child.pid,
    env: { ...env, PORT: port },
    url: `http://127.0.0.1:${port}`,
    logs,
    exited: child.exited,
    running: child.running,
    stop: child.stop,
    kill: child.kill,
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    async waitForLog(fits, timeoutMs = 10_000) {
      if (await until(() => logs.some(fits), { timeoutMs })) return logs.find(fits) as LogLine
      throw new Error(`${name} logged no such line within ${timeoutMs} ms. ${lastLines(logs)}`)
    },
  }
}

async function ready(service: ServiceProcess): Promise<void> {
  const answers = async () => (await fetch(`${service.url}/readyz`)).status === 200
  const up = await until(async () => !service.running() || (await answers()), {
    timeoutMs: startTimeoutMs,
  })
  if (up && service.running()) return
  await service.kill()
  throw new Error(`${service.name} did not become ready. ${lastLines(service.logs)}`)
}

function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return { msg: text }
  }
}

function lastLines(logs: LogLine[]): string {
  return `It said last:\n${logs
    .slice(-15)
    .map((line) => JSON.stringify(line))
    .join('\n')}`
}
