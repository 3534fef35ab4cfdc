import net from 'node:net'
import type { FuzzRequest } from './request.ts'
import { type FuzzResponse, readResponse } from './response.ts'

/** How a request ended. */
export type Result =
  | { kind: 'answered'; responses: FuzzResponse[] }
  /** The connection could not be opened, or ended without a response. */
  | { kind: 'cut' }
  /** No response came within HUNG_AFTER_MS. */
  | { kind: 'hung' }

/** Longer than any wait of the API. */
const HUNG_AFTER_MS = 40_000

/** Sends requests one after another and reuses the socket as long as the server keeps it open. */
export interface FuzzConnection {
  send(request: FuzzRequest): Promise<Result>
  close(): void
}

export function createFuzzConnection(port: number): FuzzConnection {
  let keptSocket: net.Socket | undefined

  async function open(): Promise<net.Socket | undefined> {
    return new Promise((resolve) => {
      const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
      socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined))
      // `close` reports the end of the connection; the reason does not matter.
      socket.on('error', () => undefined)
    })
  }

  async function send(request: FuzzRequest): Promise<Result> {
    const old = request.whole ? keptSocket : undefined
    if (request.whole) keptSocket = undefined
    const reused = old !== undefined && !old.destroyed && !old.readableEnded
    const socket = reused ? old : await open()
    if (socket === undefined) return { kind: 'cut' }
    const result = await exchange(socket, request)
    const isOver = result.kind !== 'answered' || result.responses.some(({ isStream }) => isStream)
    if (request.whole && !socket.destroyed && !isOver) keptSocket = socket
    else socket.destroy()
    // RFC 9112, section 9.3.1: the server may close a kept connection just as a request is sent.
    // The client then sends it again.
    return reused && result.kind === 'cut' ? send(request) : result
  }

  return { send, close: () => keptSocket?.destroy() }
}

function exchange(socket: net.Socket, { bytes, method, whole }: FuzzRequest): Promise<Result> {
  return new Promise((resolve) => {
    let text = ''
    const responses: FuzzResponse[] = []
    const timer = setTimeout(() => finish({ kind: 'hung' }), HUNG_AFTER_MS)
    const finish = (result: Result): void => {
      clearTimeout(timer)
      socket.off('data', onData).off('close', onClose).off('end', onClose)
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      for (
        let response = readResponse(text, method);
        response !== undefined;
        response = readResponse(text, method)
      ) {
        responses.push(response)
        text = text.slice(response.length)
        if (whole || response.isStream) {
          finish({ kind: 'answered', responses })
          return
        }
      }
    }
    // Bytes that are not HTTP may get several responses, or none.
    const onClose = (): void =>
      finish(whole && responses.length === 0 ? { kind: 'cut' } : { kind: 'answered', responses })
    socket.on('data', onData).once('close', onClose).once('end', onClose)
    if (whole) socket.write(bytes)
    else socket.end(bytes)
  })
}
