import { PostgreSqlContainer } from '@testcontainers/postgresql'
import { RedisContainer } from '@testcontainers/redis'
import pg from 'pg'
import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'
import { talk } from '../../tools/dev-stack/addresses.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import type { Server } from '../../tools/dev-stack/servers.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

/** The images that docker-compose.yml uses. */
const images = { postgres: 'postgres:17-alpine', redis: 'redis:7.4-alpine' }

/** @throws if no Docker engine answers or the image is not available */
export async function startPostgresContainer(): Promise<Server> {
  const port = await hostPort()
  const container = await new PostgreSqlContainer(images.postgres)
    .withDatabase('ticket_line')
    .withExposedPorts({ container: 5432, host: port })
    .withCommand(['postgres', '-c', 'max_connections=300'])
    .start()
  return asServer(container, container.getConnectionUri(), images.postgres, port, answersSql)
}

/** @throws if no Docker engine answers or the image is not available */
export async function startRedisContainer(): Promise<Server> {
  const port = await hostPort()
  const settings = [
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--maxmemory-policy',
    'noeviction',
    // In protected mode, a Redis without a password refuses clients that are not on loopback, and
    // the server sees the address of Docker's network.
    '--protected-mode',
    'no',
    '--save',
    '',
  ]
  const container = await new RedisContainer(images.redis)
    .withExposedPorts({ container: 6379, host: port })
    .withCommand(['redis-server', ...settings])
    .start()
  return asServer(container, container.getConnectionUrl(), images.redis, port, answersPing)
}

/**
 * Chooses the port on the host. A port chosen by Docker would change with every restart, and the
 * services under test know only one.
 */
async function hostPort(): Promise<number> {
  await getContainerRuntimeClient()
  return freePort()
}

async function asServer(
  container: StartedTestContainer,
  connectionUrl: string,
  image: string,
  port: number,
  answers: (url: string) => Promise<boolean>,
): Promise<Server> {
  // The module also publishes a port chosen by Docker, and may return that one.
  const url = new URL(connectionUrl)
  url.port = String(port)
  const { container: engine } = await getContainerRuntimeClient()
  const handle = engine.getById(container.getId())
  return {
    url: url.toString(),
    source: `${image} in Docker`,
    ours: true,
    // Only `npm start` uses this. Tests know when they stop a server.
    ended: () => new Promise(() => {}),
    stop: async () => void (await container.stop()),
    kill: async () => void (await handle.kill()),
    async restart() {
      await handle.start()
      // Docker accepts connections before the server does, so only an answer counts.
      await until(() => answers(url.toString()), { timeoutMs: 60_000, everyMs: 100 })
    },
    pause: async () => void (await handle.pause()),
    resume: async () => void (await handle.unpause()),
  }
}

async function answersSql(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function answersPing(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return (await talk({ host: hostname, port: Number(port), text: 'PING\r\n' })).includes('PONG')
}
