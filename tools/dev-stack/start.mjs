import path from 'node:path'
import { shownUrlOf, urlOf } from './addresses.mjs'
import { bootstrap } from './bootstrap.mjs'
import { run } from './commands.mjs'
import { prepareDemo } from './demo.mjs'
import { dataDir, fromRoot } from './files.mjs'
import { canListenOn, freePort, requirePort } from './ports.mjs'
import { identify } from './processes.mjs'
import { fetchRedisEarly, keepServerRunning, startServers } from './servers.mjs'
import { keepServiceRunning, rotateLog } from './services.mjs'
import {
  readHealthPort,
  readHost,
  readPort,
  readServerUrls,
  serviceSettings,
  withDotEnv,
} from './settings.mjs'
import { createShutdown } from './shutdown.mjs'
import { announceStack, claimFolder, clearLeftovers, withdrawStack } from './stack.mjs'
import { say, step, UserError } from './terminal.mjs'

/** Longer than the services' own grace period, so that they end by themselves. */
const stopGraceMs = 30_000

/**
 * Brings a bare clone to a running system: installs tools and dependencies, starts PostgreSQL and
 * Redis (or uses those of DATABASE_URL and REDIS_URL), migrates the database, starts one API, one
 * worker and one notifier, and keeps all of them running until Ctrl-C.
 */
export async function start() {
  const shutdown = createShutdown()
  try {
    await startAll(shutdown)
  } catch (error) {
    // After Ctrl-C the interrupted step fails, which needs no message.
    if (shutdown.begun()) return shutdown.run()
    await shutdown.run()
    throw error
  }
}

/** @param {import('./shutdown.mjs').Shutdown} shutdown */
async function startAll(shutdown) {
  const env = withDotEnv(process.env)
  const port = readPort(env)
  const host = readHost(env)
  const worker = { port: readHealthPort(env, 'WORKER_PORT'), host: readHost(env, 'WORKER_HOST') }
  const notifier = {
    port: readHealthPort(env, 'NOTIFIER_PORT'),
    host: readHost(env, 'NOTIFIER_HOST'),
  }
  claimFolder()
  await clearLeftovers()
  await requireAddresses({ host, port }, { WORKER_PORT: worker, NOTIFIER_PORT: notifier })
  for (const name of ['api', 'booking-worker', 'notifier', 'postgres', 'redis']) rotateLog(name)

  fetchRedisEarly(env)
  const toolchain = await bootstrap()
  if (shutdown.begun()) return
  const urls = await readServerUrls(env)
  const { postgres, redis } = await step('Starting PostgreSQL and Redis', () =>
    startServers({
      env,
      urls,
      folder: dataDir,
      onStarted: (server) => shutdown.add(server.stop),
    }),
  )
  say(`  ${postgres.source}, ${redis.source}`)
  if (postgres.ours) void keepServerRunning('PostgreSQL', postgres, shutdown.begun)
  if (redis.ours) void keepServerRunning('Redis', redis, shutdown.begun)

  const workerPort = worker.port ?? (await freePort())
  const notifierPort = notifier.port ?? (await freePort())
  const settings = serviceSettings({
    ...withDotEnv(toolchain.env),
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    PORT: String(port),
    WORKER_PORT: String(workerPort),
    NOTIFIER_PORT: String(notifierPort),
  })
  await step('Migrating the database', () =>
    run(toolchain.node, [fromRoot('packages/db/dist/migrate.js')], { env: settings }),
  )
  /** @type {import('./stack.mjs').Stack} */
  const stack = { pid: process.pid, databaseUrl: postgres.url, redisUrl: redis.url, services: [] }
  announceStack(stack)
  shutdown.add(async () => withdrawStack())
  if (shutdown.begun()) return

  const url = urlOf(host, port)
  const workerUrl = urlOf(worker.host, workerPort)
  const notifierUrl = urlOf(notifier.host, notifierPort)
  await step('Starting the worker, the API and the notifier', async () => {
    const onStart = (/** @type {number} */ pid) => {
      stack.services.push(identify(pid))
      announceStack(stack)
    }
    const service = { node: toolchain.node, env: settings, onStart }
    const results = await Promise.allSettled([
      // In production nobody has to use webhooks, and no key is made for their secrets.
      ...(settings['WEBHOOK_SECRET_KEY']?.trim()
        ? [
            keepServiceRunning({
              ...service,
              name: 'notifier',
              ready: async () => (await fetch(`${notifierUrl}/readyz`)).status === 200,
            }),
          ]
        : []),
      keepServiceRunning({
        ...service,
        name: 'booking-worker',
        ready: async () => (await fetch(`${workerUrl}/readyz`)).status === 200,
      }),
      keepServiceRunning({
        ...service,
        name: 'api',
        ready: async () => (await fetch(`${url}/readyz`)).status === 200,
      }),
    ])
    // The API is stopped first, so that the worker can still answer the clients that wait.
    for (const result of results) {
      if (result.status === 'fulfilled') shutdown.add(() => result.value.stop(stopGraceMs))
    }
    for (const result of results) if (result.status === 'rejected') throw result.reason
  })
  const shownUrl = shownUrlOf(host, port)
  const demo =
    settings.NODE_ENV === 'production'
      ? /** @type {import('./demo.mjs').Demo} */ ({ calls: [] })
      : await prepareDemo(url, { settings, shownUrl, ownDatabase: postgres.ours })
  printUsage({ url: shownUrl, demo, settings, generatedPassword: !env['ADMIN_PASSWORD'] })
}

/**
 * @param {{ host: string, port: number }} api
 * @param {Record<string, { host: string, port: number | undefined }>} others by the variable of the
 * port
 * @throws {UserError} if one of the services could not listen
 */
async function requireAddresses({ host, port }, others) {
  if (!(await canListenOn(host))) {
    throw new UserError(
      `HOST must be an address of this machine, or a name of one, not "${host}". ` +
        'Some tools export HOST for their own purposes; then start with HOST=127.0.0.1 npm start',
    )
  }
  await requirePort({ port, host, variable: 'PORT', command: 'npm start' })
  const taken = new Map([[port, 'PORT']])
  for (const [variable, other] of Object.entries(others)) {
    if (other.port === undefined) continue
    const earlier = taken.get(other.port)
    if (earlier !== undefined) {
      throw new UserError(
        `${earlier} and ${variable} are both ${other.port}. Leave ${variable} out.`,
      )
    }
    taken.set(other.port, variable)
    await requirePort({ host: other.host, port: other.port, variable, command: 'npm start' })
  }
}

/**
 * @param {{ url: string, demo: import('./demo.mjs').Demo, settings: NodeJS.ProcessEnv,
 *   generatedPassword: boolean }} what
 */
function printUsage({ url, demo, settings, generatedPassword }) {
  const lines = [
    '',
    demo.page === undefined ? `Open ${url}/` : `Buy a ticket at ${demo.page}`,
    '',
    `ticket-line listens on ${url}`,
    `  box office      ${url}/box-office`,
    `  queue dashboard ${url}/admin/queues`,
  ]
  if (settings.NODE_ENV !== 'production') {
    const password = generatedPassword ? settings['ADMIN_PASSWORD'] : 'the ADMIN_PASSWORD you set'
    lines.push(
      `                  for both, ${settings['ADMIN_USER']} with the password ${password}`,
    )
  }
  lines.push(
    `  documentation   ${url}/docs`,
    '  guide           docs/integrating.md: API keys, TypeScript, Python',
  )
  const data = path.relative(process.cwd(), dataDir)
  lines.push(`  logs            ${data}/logs/`, `  rate limit      ${describeLimit(settings)}`)
  if (/^(true|1|yes)$/i.test(settings['INITIALIZE_OPEN'] ?? '')) {
    lines.push(
      '  open            POST /initialize needs no token (INITIALIZE_OPEN; off in production)',
    )
  }
  if (demo.calls.length > 0) lines.push('', 'Try it in another terminal:', '', ...demo.calls)
  else if (demo.why !== undefined) lines.push('', `There are no example calls: ${demo.why}.`)
  lines.push(
    '',
    'To run more processes, each in its own terminal: npm run worker, npm run api, npm run notifier',
    `Ctrl-C stops everything; the data stays in ${data}/.`,
  )
  say(lines.join('\n'))
}

/**
 * Describes the rate limit, which is the first limit that somebody who repeats the calls reaches.
 *
 * @param {NodeJS.ProcessEnv} settings
 */
function describeLimit(settings) {
  const requests = settings['RATE_LIMIT'] || '100'
  const seconds = Number(settings['RATE_WINDOW_MS'] || 900_000) / 1000
  const time = seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`
  return `${requests} requests in ${time} for each user or address, then 429; to raise it: RATE_LIMIT=10000 npm start`
}
