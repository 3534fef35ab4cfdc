import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createPipelining, listenOn } from '@ticket-line/shared'
import type { Registry } from 'prom-client'
import { createMetricsGuard, createMetricsPage } from './metrics-page.js'

export interface HealthDeps {
  host: string
  port: number
  /** The variables with which an operator sets them, for error messages. */
  hostVariable: string
  portVariable: string
  registry: Registry
  /** The bearer token that `/metrics` requires. If undefined, anyone may read `/metrics`. */
  metricsToken: string | undefined
  /** Returns the names of the servers that are out of reach; none if the process is ready. */
  findUnreachable: () => Promise<string[]>
}

/** Probes and Prometheus need a few connections each. */
const MAX_CONNECTIONS = 200
const MAX_PIPELINED = 8
const MAX_HELD_BYTES = 4 * 1024 * 1024
const REQUEST_TIMEOUT_MS = 10_000
const STALL_TIMEOUT_MS = 30_000

/** Serves `/livez`, `/readyz` and `/metrics`, and nothing else. For processes without an API. */
export async function serveHealth(
  deps: HealthDeps,
): Promise<{ port: number; close: () => Promise<void> }> {
  const pipelining = createPipelining({
    perConnection: MAX_PIPELINED,
    crowdedAt: MAX_CONNECTIONS,
    maxHeldBytes: MAX_HELD_BYTES,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    stallTimeoutMs: STALL_TIMEOUT_MS,
  })
  const { ServerResponse } = pipelining
  const server = createServer(
    { ServerResponse, requestTimeout: REQUEST_TIMEOUT_MS },
    createListener(deps),
  )
  server.maxConnections = MAX_CONNECTIONS
  pipelining.watch(server)
  const { host, port, hostVariable, portVariable } = deps
  return {
    port: await listenOn(server, { host, port, hostVariable, portVariable }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function createListener({ registry, metricsToken, findUnreachable }: HealthDeps) {
  const page = createMetricsPage(registry)
  const mayRead = createMetricsGuard(metricsToken)
  return (request: IncomingMessage, response: ServerResponse) => {
    const send = (status: number, type: string, body: string | Uint8Array): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    }
    const sendText = (status: number, text: string): void =>
      send(status, 'text/plain; charset=utf-8', `${text}\n`)
    const fail = (): void => sendText(500, 'failed')
    switch (request.url) {
      case '/livez':
        return send(200, 'application/json', '{"status":"alive"}')
      case '/readyz':
        return void findUnreachable().then((unreachable) => {
          const isReady = unreachable.length === 0
          const body = isReady ? { status: 'ready' } : { status: 'unavailable', unreachable }
          send(isReady ? 200 : 503, 'application/json', JSON.stringify(body))
        }, fail)
      case '/metrics':
        if (!mayRead(request.headers.authorization)) {
          response.setHeader('WWW-Authenticate', 'Bearer')
          return sendText(401, 'reading metrics requires a token')
        }
        return void page().then(({ body, contentType }) => send(200, contentType, body), fail)
      default:
        return sendText(404, 'not found')
    }
  }
}
