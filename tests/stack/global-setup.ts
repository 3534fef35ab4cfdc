import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { createTemplate } from './databases.ts'
import { type Servers, startServers } from './servers.ts'
import type { SharedServers } from './shared-servers.ts'

/**
 * Provides one PostgreSQL and one Redis for the whole run. They start when the first suite asks for
 * them, so a run of unit tests starts none. Test files run in other processes and ask over HTTP.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let servers: Promise<Servers> | undefined
  let shared: Promise<SharedServers> | undefined

  async function start(): Promise<SharedServers> {
    servers = startServers()
    const { postgres, redis, chosen } = await servers
    console.log(`Tests run on ${chosen}`)
    const templateDatabase = await createTemplate(postgres.url)
    return { postgresUrl: postgres.url, redisUrl: redis.url, templateDatabase }
  }

  const server = createServer((_request, response) => {
    shared ??= start()
    shared.then(
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
    await shared?.catch(() => undefined)
    await (await servers?.catch(() => undefined))?.stop()
  }
}
