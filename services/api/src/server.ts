import { createServer, type Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createPipelining, listenOn, sleep } from '@ticket-line/shared'
import type { Hono } from 'hono'
import type { ServerConfig } from './config.js'
import type { AppEnv } from './http/env.js'

/**
 * Node looks for requests that take too long this often. Its default of 30 s would make 5 s of them 35; and all that are
 * found are answered and closed at once, while everybody else waits: found more often they are fewer. But each look
 * wakes a process that may have nothing else to do.
 */
const LOOK_FOR_LATE_MS = 100

/**
 * Most requests of one connection that are not answered. The next ones are not read until an answer
 * has left.
 */
const MAX_PIPELINED = 8
/** Most bytes of unparsed requests of all connections together. */
const MAX_HELD_BYTES = 64 * 1024 * 1024

/**
 * Opens the port.
 *
 * @returns the server and the port it listens on
 * @throws ConfigError if this process cannot listen there
 */
export async function listen(
  app: Hono<AppEnv>,
  config: ServerConfig,
): Promise<{ server: Server; port: number }> {
  const pipelining = createPipelining({
    perConnection: MAX_PIPELINED,
    crowdedAt: Math.ceil(config.maxRequests / 2),
    maxHeldBytes: MAX_HELD_BYTES,
    requestTimeoutMs: config.requestTimeoutMs,
    stallTimeoutMs: config.stallTimeoutMs,
  })
  const server = createAdaptorServer({
    fetch: app.fetch,
    // Of requests that name no host, as HTTP/1.0 allows and probes of balancers do.
    hostname: 'localhost',
    createServer,
    serverOptions: {
      ServerResponse: pipelining.ServerResponse,
      headersTimeout: config.headersTimeoutMs,
      // Counts until the request has been received: an answer may take as long as it takes.
      requestTimeout: config.requestTimeoutMs,
      keepAliveTimeout: config.keepAliveTimeoutMs,
      maxHeaderSize: config.maxHeaderBytes,
      connectionsCheckingInterval: LOOK_FOR_LATE_MS,
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
  /** How long all of it may take; then what is left is cut. */
  graceMs: number
  /** Called after half of it: those who wait for something should be answered with what there is. */
  hurry: () => void
}

/** How long connections are still taken: those on their way, and those of balancers that have not yet asked `/readyz`. */
const LINGER_MS = 500

/**
 * Takes no more connections after a moment, and resolves when the requests at hand are answered or their time is over.
 * Answers given meanwhile should say `Connection: close`.
 */
export async function closeServer(server: Server, { graceMs, hurry }: CloseOptions): Promise<void> {
  const hurrying = setTimeout(hurry, graceMs / 2)
  const cutting = setTimeout(() => server.closeAllConnections(), graceMs)
  await sleep(Math.min(LINGER_MS, graceMs / 4))
  await new Promise((resolve) => server.close(resolve))
  clearTimeout(hurrying)
  clearTimeout(cutting)
}
