import net from 'node:net'
import { type Answer, readAnswer } from './response.ts'

/** One keep-alive connection with at most one request on its way. */
export interface Connection {
  send(request: Uint8Array, onAnswer: (answer: Answer) => void): void
  close(): void
}

/**
 * A client with nothing in it but what a benchmark needs: it shares the cores with what it measures.
 *
 * @param onBroken told once if the connection ends before `close`
 */
export function openConnection(
  target: { host: string; port: number },
  onBroken: (error: Error) => void,
): Promise<Connection> {
  let pending = ''
  let waiting: ((answer: Answer) => void) | undefined
  let closed = false

  function take(text: string): void {
    pending = pending === '' ? text : pending + text
    const answer = readAnswer(pending)
    if (answer === undefined) return
    pending = ''
    const answered = waiting
    waiting = undefined
    answered?.(answer)
  }

  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(8192)
    const socket = net.connect({
      ...target,
      noDelay: true,
      // One buffer for the whole life of the connection instead of a new one for every read.
      onread: {
        buffer,
        callback: (length) => {
          take(buffer.toString('latin1', 0, length))
          return true
        },
      },
    })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        if (!closed) onBroken(new Error(`a connection to port ${target.port} was closed`))
      })
      resolve({
        send(request, onAnswer) {
          waiting = onAnswer
          socket.write(request)
        },
        close() {
          closed = true
          socket.destroy()
        },
      })
    })
  })
}
