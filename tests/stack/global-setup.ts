import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { createTemplate } from './databases.ts'
import { type Servers, startServers } from './servers.ts'
import type { SharedServers } from './shared-servers.ts'

/**
 * Provides one PostgreSQL and one Redis for the whole run, and another pair for each other kind of
 * Redis. They start when the first suite needs them, so a run of unit tests starts none. Test files
 * run in other processes and get the addresses over HTTP. The path names the kind, as `/cluster`.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: Promise<Servers>[] = []
  const shared = new Map<string, Promise<SharedServers>>()

  async function start(kind: string): Promise<SharedServers> {
    const servers = startServers({ ...process.env, TEST_REDIS: kind })
    started.push(servers)
    const { postgres, redis, redisEnv, redisUrls, chosen } = await servers
    console.log(`Tests run on ${chosen}`)
    const templateDatabase = await createTemplate(postgres.url)
    const addresses = { postgresUrl: postgres.url, redisUrl: redis.url, redisEnv, redisUrls }
    return { ...addresses, templateDatabase }
  }

  const server = createServer(({ url = '' }, response) => {
    const kind = url.slice(1)
    const ofKind = shared.get(kind) ?? start(kind)
    shared.set(kind, ofKind)
    ofKind.then(
      (value) => response.end(JSON.stringify(value)),
      (error: unknown) =>
        response.writeHead(500).end(`The servers for the tests did not start: ${error}`),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  project.provide('serversUrl', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)

  return async () => {
    server.close()
    await Promise.allSettled(shared.values())
    for (const servers of await Promise.allSettled(started))
      if (servers.status === 'fulfilled') await servers.value.stop()
  }
}
