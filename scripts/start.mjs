/**
 * `npm start`: from a bare clone to a running system. Brings tools and dependencies, starts PostgreSQL and Redis (or takes those of
 * DATABASE_URL and REDIS_URL), migrates, starts one API and one worker, and keeps them running until Ctrl-C. Data stays in `.data/`.
 */
import path from 'node:path'
import { canListenOn, shownUrlOf, urlOf } from '../tools/dev-stack/addresses.mjs'
import { prepareDemo } from '../tools/dev-stack/demo.mjs'
import { freePort, requirePort } from '../tools/dev-stack/net.mjs'
import { dataDir, fromRoot } from '../tools/dev-stack/paths.mjs'
import { identify } from '../tools/dev-stack/processes.mjs'
import { run } from '../tools/dev-stack/run.mjs'
import { Plain, runMain, say, step } from '../tools/dev-stack/say.mjs'
import { fetchAhead, keepServing, startServers } from '../tools/dev-stack/servers.mjs'
import {
  readHost,
  readPort,
  readSettings,
  readWorkerPort,
  serviceSettings,
  withDotEnv,
} from '../tools/dev-stack/settings.mjs'
import { createShutdown } from '../tools/dev-stack/shutdown.mjs'
import {
  announceStack,
  claimFolder,
  clearLeftovers,
  withdrawStack,
} from '../tools/dev-stack/stack.mjs'
import { keepRunning, turnLog } from '../tools/dev-stack/supervise.mjs'
import { bootstrap } from './bootstrap.mjs'

/** Longer than the services' own grace, so that they end by themselves. */
const stopGraceMs = 30_000

runMain(async () => {
  const shutdown = createShutdown()
  try {
    await start(shutdown)
  } catch (error) {
    // After Ctrl-C the step that was cut short fails; that is no news.
    if (shutdown.begun()) return shutdown.run()
    await shutdown.run()
    throw error
  }
})

/** @param {import('../tools/dev-stack/shutdown.mjs').Shutdown} shutdown */
async function start(shutdown) {
  const env = withDotEnv(process.env)
  const port = readPort(env)
  const host = readHost(env)
  const worker = { port: readWorkerPort(env), host: readHost(env, 'WORKER_HOST') }
  await refuseWhatCannotWork({ host, port }, worker)
  for (const name of ['api', 'booking-worker', 'postgres', 'redis']) turnLog(name)

  fetchAhead(env)
  const toolchain = await bootstrap()
  if (shutdown.begun()) return
  const readings = await readSettings(env)
  const { postgres, redis } = await step('Starting PostgreSQL and Redis', () =>
    startServers({
      env,
      readings,
      folder: dataDir,
      onStarted: (server) => shutdown.add(server.stop),
    }),
  )
  say(`  ${postgres.source}, ${redis.source}`)
  if (postgres.ours) void keepServing('PostgreSQL', postgres, shutdown.begun)
  if (redis.ours) void keepServing('Redis', redis, shutdown.begun)

  const workerPort = worker.port ?? (await freePort())
  const settings = serviceSettings({
    ...withDotEnv(toolchain.env),
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    PORT: String(port),
    WORKER_PORT: String(workerPort),
  })
  await step('Migrating the database', () =>
    run(toolchain.node, [fromRoot('packages/db/dist/migrate.js')], { env: settings }),
  )
  /** @type {import('../tools/dev-stack/stack.mjs').Stack} */
  const stack = { pid: process.pid, databaseUrl: postgres.url, redisUrl: redis.url, services: [] }
  announceStack(stack)
  shutdown.add(async () => withdrawStack())
  if (shutdown.begun()) return

  const url = urlOf(host, port)
  const workerUrl = urlOf(worker.host, workerPort)
  await step('Starting the worker and the API', async () => {
    const onStart = (/** @type {number} */ pid) => {
      stack.services.push(identify(pid))
      announceStack(stack)
    }
    const service = { node: toolchain.node, env: settings, onStart }
    const results = await Promise.allSettled([
      keepRunning({
        ...service,
        name: 'booking-worker',
        ready: async () => (await fetch(`${workerUrl}/readyz`)).status === 200,
      }),
      keepRunning({
        ...service,
        name: 'api',
        ready: async () => (await fetch(`${url}/readyz`)).status === 200,
      }),
    ])
    // The API is stopped first: clients that still wait get their answers from the worker.
    for (const result of results) {
      if (result.status === 'fulfilled') shutdown.add(() => result.value.stop(stopGraceMs))
    }
    for (const result of results) if (result.status === 'rejected') throw result.reason
  })
  const shownUrl = shownUrlOf(host, port)
  const demo =
    settings.NODE_ENV === 'production'
      ? { calls: [] }
      : await prepareDemo(url, { settings, shownUrl, ownDatabase: postgres.ours })
  tellHowToUse({ url: shownUrl, demo, settings, passwordMadeUp: !env['ADMIN_PASSWORD'] })
}

/**
 * @param {{ host: string, port: number }} api
 * @param {{ host: string, port: number | undefined }} worker
 */
async function refuseWhatCannotWork({ host, port }, worker) {
  claimFolder()
  await clearLeftovers()
  if (!(await canListenOn(host))) {
    throw new Plain(
      `HOST must be an address of this machine, or a name of one, not "${host}". Some tools export HOST for purposes of their own: ` +
        'start with HOST=127.0.0.1 npm start',
    )
  }
  await requirePort({ port, host, variable: 'PORT', command: 'npm start' })
  if (worker.port === undefined) return
  if (worker.port === port)
    throw new Plain(`PORT and WORKER_PORT are both ${port}. Leave WORKER_PORT out.`)
  await requirePort({ ...worker, port: worker.port, variable: 'WORKER_PORT', command: 'npm start' })
}

/**
 * @param {{ url: string, demo: import('../tools/dev-stack/demo.mjs').Demo, settings: NodeJS.ProcessEnv,
 * passwordMadeUp: boolean }} what
 */
function tellHowToUse({ url, demo, settings, passwordMadeUp }) {
  const lines = [
    '',
    `ticket-line listens on ${url}`,
    `  documentation   ${url}/docs`,
    `  queue dashboard ${url}/admin/queues`,
  ]
  if (settings.NODE_ENV !== 'production') {
    const password = passwordMadeUp ? settings['ADMIN_PASSWORD'] : 'the ADMIN_PASSWORD you set'
    lines.push(`                  sign in as ${settings['ADMIN_USER']}, password: ${password}`)
  }
  const data = path.relative(process.cwd(), dataDir)
  lines.push(`  logs            ${data}/logs/`, `  limit           ${describeLimit(settings)}`)
  if (/^(true|1|yes)$/i.test(settings['INITIALIZE_OPEN'] ?? '')) {
    lines.push(
      '  open            POST /initialize needs no token here (INITIALIZE_OPEN; off in production)',
    )
  }
  if (demo.calls.length > 0) lines.push('', 'Try it, in another terminal:', '', ...demo.calls)
  else if (demo.why !== undefined) lines.push('', `There are no calls to paste: ${demo.why}.`)
  lines.push(
    '',
    'More of them, each in a terminal of its own: npm run worker, npm run api',
    `Ctrl-C stops everything; the data stays in ${data}/.`,
  )
  say(lines.join('\n'))
}

/**
 * The limit that everybody meets who runs the calls in a loop.
 *
 * @param {NodeJS.ProcessEnv} settings
 */
function describeLimit(settings) {
  const requests = settings['RATE_LIMIT'] || '100'
  const seconds = Number(settings['RATE_WINDOW_MS'] || 900_000) / 1000
  const time = seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`
  return `${requests} requests in ${time} for each user or address, then 429; more: RATE_LIMIT=10000 npm start`
}
