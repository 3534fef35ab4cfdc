import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'

export interface HealthDeps {
  host: string
  port: number
  registry: Registry
  /** Names of the servers that are out of reach; empty when ready. */
  missing: () => Promise<string[]>
}

/** Serves `/livez`, `/readyz` and `/metrics` to whoever watches the process. No one else can do anything here. */
export async function serveHealth(deps: HealthDeps): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const send = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    }
    const fail = (): void => send(500, 'text/plain; charset=utf-8', 'failed\n')
    switch (request.url) {
      case '/livez':
        return send(200, 'application/json', '{"status":"alive"}')
      case '/readyz':
        return void deps.missing().then((missing) => {
          const body = missing.length === 0 ? { status: 'ready' } : { status: 'not ready', missing }
          send(missing.length === 0 ? 200 : 503, 'application/json', JSON.stringify(body))
        }, fail)
      case '/metrics':
        return void deps.registry.metrics().then((text) => send(200, deps.registry.contentType, text), fail)
      default:
        return send(404, 'text/plain; charset=utf-8', 'not found\n')
    }
  })
  await listen(server, deps)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, { host, port }: HealthDeps): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve())
  })
}
