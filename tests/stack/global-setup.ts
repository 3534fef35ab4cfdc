import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { createTemplate } from './databases.ts'
import { type Servers, startServers } from './servers.ts'
import type { SharedServers } from './shared-servers.ts'

/**
 * One PostgreSQL and one Redis for the whole run, started when the first suite asks: a run of unit tests alone starts nothing. Test files
 * run in other processes than this, so they ask over HTTP.
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

  const desk = createServer((_request, response) => {
    shared ??= start()
    shared.then(
      (value) => response.end(JSON.stringify(value)),
      (error: unknown) =>
        response.writeHead(500).end(`The servers for the tests did not start: ${error}`),
    )
  })
  desk.listen(0, '127.0.0.1')
  await once(desk, 'listening')
  project.provide('serversAt', `http://127.0.0.1:${(desk.address() as AddressInfo).port}`)

  return async () => {
    desk.close()
    await shared?.catch(() => undefined)
    await (await servers?.catch(() => undefined))?.stop()
  }
}
