import { PostgreSqlContainer } from '@testcontainers/postgresql'
import { RedisContainer } from '@testcontainers/redis'
import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'
import { freePort, talk, until } from '../../scripts/lib/net.mjs'
import type { Server } from '../../scripts/lib/server.mjs'

/** The same images as in docker-compose.yml. */
const images = { postgres: 'postgres:18-alpine', redis: 'redis:8-alpine' }

/** @throws when no Docker engine answers or the image cannot be had */
export async function startPostgresContainer(): Promise<Server> {
  const port = await hostPort()
  const container = await new PostgreSqlContainer(images.postgres)
    .withDatabase('ticket_line')
    .withExposedPorts({ container: 5432, host: port })
    .withCommand(['postgres', '-c', 'max_connections=300'])
    .start()
  return asServer(container, container.getConnectionUri(), `${images.postgres} in Docker`, port)
}

/** @throws when no Docker engine answers or the image cannot be had */
export async function startRedisContainer(): Promise<Server> {
  const port = await hostPort()
  const durable = [
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
    '--maxmemory-policy',
    'noeviction',
    '--save',
    '',
  ]
  const container = await new RedisContainer(images.redis)
    .withExposedPorts({ container: 6379, host: port })
    .withCommand(['redis-server', ...durable])
    .start()
  return asServer(container, container.getConnectionUrl(), `${images.redis} in Docker`, port)
}

/** A port fixed by us: one chosen by Docker changes with every restart, and the services under test know but one. */
async function hostPort(): Promise<number> {
  await getContainerRuntimeClient()
  return freePort()
}

async function asServer(
  container: StartedTestContainer,
  url: string,
  source: string,
  port: number,
): Promise<Server> {
  const { container: engine } = await getContainerRuntimeClient()
  const handle = engine.getById(container.getId())
  return {
    url,
    source,
    ours: true,
    // Only a supervisor asks for this; tests know what they did to it.
    ended: () => new Promise(() => {}),
    stop: async () => void (await container.stop()),
    kill: async () => void (await handle.kill()),
    async restart() {
      await handle.start()
      await until(async () => (await talk({ host: '127.0.0.1', port })) === '', { timeoutMs: 30_000 })
    },
    pause: async () => void (await handle.pause()),
    resume: async () => void (await handle.unpause()),
  }
}
