import { createServer, type Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createPipelining, listenOn, sleep } from '@ticket-line/shared'
import type { Hono } from 'hono'
import type { ServerConfig } from './config.js'
import type { Cors } from './http/cors.js'
import type { AppEnv } from './http/env.js'

/**
 * How often Node checks for requests whose headers or body are late, ms. With its default of 30 s,
 * a timeout of 5 s could take 35 s. A check answers all late requests that it finds and closes
 * their connections, which delays other requests. More frequent checks find fewer late requests
 * each, but every check wakes the process.
 */
const LATE_CHECK_INTERVAL_MS = 100

/**
 * Maximum number of unanswered requests of a connection. The next request is read after a response.
 */
const MAX_PIPELINED = 8
/** Maximum size of the unparsed requests of all connections together, bytes. */
const MAX_HELD_BYTES = 64 * 1024 * 1024

/**
 * Opens the port.
 *
 * @throws ConfigError if this process cannot listen on it
 */
export async function listen(
  app: Hono<AppEnv>,
  config: ServerConfig,
  cors?: Cors,
): Promise<{ server: Server; port: number }> {
  const pipelining = createPipelining({
    perConnection: MAX_PIPELINED,
    crowdedAt: Math.ceil(config.maxRequests / 2),
    maxHeldBytes: MAX_HELD_BYTES,
    requestTimeoutMs: config.requestTimeoutMs,
    stallTimeoutMs: config.stallTimeoutMs,
    refusalHeaders: cors?.headersFor,
  })
  const server = createAdaptorServer({
    fetch: app.fetch,
    // For requests without a `Host` header, which HTTP/1.0 allows. Probes of load balancers send
    // such requests.
    hostname: 'localhost',
    createServer,
    serverOptions: {
      ServerResponse: pipelining.ServerResponse,
      headersTimeout: config.headersTimeoutMs,
      // The time until the whole request is received. Responses have no timeout.
      requestTimeout: config.requestTimeoutMs,
      keepAliveTimeout: config.keepAliveTimeoutMs,
      maxHeaderSize: config.maxHeaderBytes,
      connectionsCheckingInterval: LATE_CHECK_INTERVAL_MS,
    },
  }) as Server
  server.maxConnections = config.maxConnections
  pipelining.watch(server)
  const { host, port } = config
  return {
    server,
    port: await listenOn(server, { host, port, hostVariable: 'HOST', portVariable: 'PORT' }),
  }
}

export interface CloseOptions {
  /** How long closing may take, ms. After that, all connections are closed. */
  graceMs: number
  /** Called after half of `graceMs`. It should answer clients that still wait for a decision. */
  hurry: () => void
}

/**
 * How long a stopping server still accepts connections, so that load balancers can read the 503 of
 * `/readyz`, ms.
 */
const LINGER_MS = 500
/** After `LINGER_MS`, maximum time in which it accepts clients that have connected before, ms. */
const ACCEPT_WAITING_MS = 200

/**
 * Stops accepting connections after `LINGER_MS`. Resolves when all requests are answered, or after
 * `graceMs`. Responses that are sent during the stop should contain `Connection: close`.
 */
export async function closeServer(server: Server, { graceMs, hurry }: CloseOptions): Promise<void> {
  const hurryTimer = setTimeout(hurry, graceMs / 2)
  const closeTimer = setTimeout(() => server.closeAllConnections(), graceMs)
  await sleep(Math.min(LINGER_MS, graceMs / 4))
  await acceptWaiting(server)
  await new Promise((resolve) => server.close(resolve))
  clearTimeout(hurryTimer)
  clearTimeout(closeTimer)
}

/**
 * Accepts the connections that the kernel has completed. When the port closes, the kernel resets
 * those that Node has not accepted, and nginx answers their requests with 502. In each turn of the
 * event loop, libuv accepts one connection, so this ends after a turn without one.
 */
async function acceptWaiting(server: Server): Promise<void> {
  const untilMs = performance.now() + ACCEPT_WAITING_MS
  let accepted: boolean
  const onConnection = () => {
    accepted = true
  }
  server.on('connection', onConnection)
  do {
    accepted = false
    await new Promise((resolve) => setImmediate(resolve))
  } while (accepted && performance.now() < untilMs)
  server.off('connection', onConnection)
}
