import { existsSync } from 'node:fs'
import { type Child, startChild } from '../../tools/dev-stack/child.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

export type Env = Record<string, string>

/** A line that a service logged. If it is not JSON, only `msg` is set. */
export interface LogLine {
  level?: string
  msg?: string
  [field: string]: unknown
}

/** One running API, worker or notifier. */
export interface ServiceProcess {
  name: string
  pid: number
  /** The environment it was started with, for starting another process like it. */
  env: Env
  /** Where it serves HTTP: the API its routes, the others their health checks and metrics. */
  url: string
  /** Everything that it has logged so far. */
  logs: LogLine[]
  exited: Child['exited']
  running(): boolean
  /** Sends SIGTERM, and SIGKILL after the grace period. Resolves when the process has ended. */
  stop(graceMs?: number): Promise<void>
  /** Sends SIGKILL. */
  kill(): Promise<void>
  /** Sends SIGSTOP: the process keeps its connections and locks and does nothing. */
  pause(): void
  resume(): void
  /** Resolves with the first line that fits, old or new. Rejects if there is none in time. */
  waitForLog(fits: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>
}

export type ServiceName = 'api' | 'booking-worker' | 'notifier'

/** The programs of a build. */
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

/**
 * Starts an API and waits until `/readyz` answers 200. `PORT` in `env` fixes its port, for example
 * to start it again at the same address.
 */
export async function startApi(env: Env, build = ownBuild): Promise<ServiceProcess> {
  const api = await startService('api', env, build)
  await ready(api)
  return api
}

/** Starts a worker and waits until its `/readyz` answers 200. */
export async function startWorker(env: Env, build = ownBuild): Promise<ServiceProcess> {
  const worker = await startService('booking-worker', env, build)
  await ready(worker)
  return worker
}

/** Starts a notifier and waits until its `/readyz` answers 200. */
export async function startNotifier(env: Env, build = ownBuild): Promise<ServiceProcess> {
  const notifier = await startService('notifier', env, build)
  await ready(notifier)
  return notifier
}

/** Starts a service without waiting until it is ready, for tests of starts that fail or wait. */
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

/** Starts any script like a service. */
export async function startScript(name: string, script: string, env: Env): Promise<ServiceProcess> {
  const port = env['PORT'] || String(await freePort())
  const logs: LogLine[] = []
  const child = await startChild({
    name,
    command: process.execPath,
    args: ['--enable-source-maps', script],
    // Of the developer's environment, only what a process needs.
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      ...env,
      PORT: port,
      WORKER_PORT: port,
      NOTIFIER_PORT: port,
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
  return `Its last log lines:\n${logs
    .slice(-15)
    .map((line) => JSON.stringify(line))
    .join('\n')}`
}
