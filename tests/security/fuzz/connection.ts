import net from 'node:net'
import { type FuzzAnswer, readAnswer } from './answer.ts'
import type { FuzzRequest } from './request.ts'

/** What came back: answers, or that none did. */
export type Result =
  | { kind: 'answered'; answers: FuzzAnswer[] }
  /** The connection ended without an answer, or could not be had. */
  | { kind: 'cut' }
  /** Nothing happened for too long. */
  | { kind: 'hung' }

/** Longer than anything the API waits for by itself. */
const HUNG_AFTER_MS = 25_000

/** One connection after the other, each kept as long as the server keeps it. */
export interface Lane {
  send(request: FuzzRequest): Promise<Result>
  close(): void
}

export function createLane(port: number): Lane {
  let kept: net.Socket | undefined

  async function open(): Promise<net.Socket | undefined> {
    return new Promise((resolve) => {
      const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
      socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined))
      // What ends a connection shows as `close`; the reason does not matter here.
      socket.on('error', () => undefined)
    })
  }

  async function send(request: FuzzRequest): Promise<Result> {
    const old = request.whole ? kept : undefined
    if (request.whole) kept = undefined
    const reused = old !== undefined && !old.destroyed && !old.readableEnded
    const socket = reused ? old : await open()
    if (socket === undefined) return { kind: 'cut' }
    const result = await exchange(socket, request)
    if (request.whole && !socket.destroyed && result.kind === 'answered') kept = socket
    else socket.destroy()
    // RFC 9112, section 9.3.1: a kept connection may be closed just as a request leaves; then it is sent again.
    return reused && result.kind === 'cut' ? send(request) : result
  }

  return { send, close: () => kept?.destroy() }
}

function exchange(socket: net.Socket, { bytes, method, whole }: FuzzRequest): Promise<Result> {
  return new Promise((resolve) => {
    let text = ''
    const answers: FuzzAnswer[] = []
    const timer = setTimeout(() => finish({ kind: 'hung' }), HUNG_AFTER_MS)
    const finish = (result: Result): void => {
      clearTimeout(timer)
      socket.off('data', onData).off('close', onClose).off('end', onClose)
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      for (
        let answer = readAnswer(text, method);
        answer !== undefined;
        answer = readAnswer(text, method)
      ) {
        answers.push(answer)
        text = text.slice(answer.length)
        if (whole) {
          finish({ kind: 'answered', answers })
          return
        }
      }
    }
    // What is no HTTP may be answered several times, or not at all.
    const onClose = (): void =>
      finish(whole && answers.length === 0 ? { kind: 'cut' } : { kind: 'answered', answers })
    socket.on('data', onData).once('close', onClose).once('end', onClose)
    if (whole) socket.write(bytes)
    else socket.end(bytes)
  })
}
