import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface HttpServer {
  url: string
  close(): Promise<void>
}

export interface Request {
  /** Method and path, for example `POST /orders`. */
  call: string
  /** The body as it was sent, which a signature covers. */
  rawBody: string
  header(name: string): string | undefined
}

export interface Response {
  status: number
  body: unknown
}

/** Starts a JSON server on a free port, or on the one given. A handler that throws means 503. */
export async function serve(
  handle: (request: Request) => Promise<Response>,
  port = 0,
): Promise<HttpServer> {
  const server = createServer(async (incoming, outgoing) => {
    const { status, body } = await respond(incoming).catch((error: unknown) => ({
      status: 503,
      body: { error: String(error) },
    }))
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })

  async function respond(incoming: IncomingMessage): Promise<Response> {
    incoming.setEncoding('utf8')
    let rawBody = ''
    for await (const part of incoming) rawBody += part
    return handle({
      call: `${incoming.method} ${incoming.url}`,
      rawBody,
      header: (name) => incoming.headers[name] as string | undefined,
    })
  }

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
