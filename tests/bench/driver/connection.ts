import net from 'node:net'
import { type Answer, readAnswer } from './response.ts'

/** A keep-alive connection with at most one request in flight. */
export interface Connection {
  send(request: Uint8Array, onAnswer: (answer: Answer) => void): void
  close(): void
}

/**
 * Opens a minimal HTTP/1.1 connection. The driver shares its cores with the measured system, so it
 * must use as little of them as possible.
 *
 * @param onBroken called once if the connection ends before `close`
 */
export function openConnection(
  target: { host: string; port: number },
  onBroken: (error: Error) => void,
): Promise<Connection> {
  let received = ''
  let onAnswered: ((answer: Answer) => void) | undefined
  let closed = false

  function take(text: string): void {
    received = received === '' ? text : received + text
    const answer = readAnswer(received)
    if (answer === undefined) return
    received = ''
    const callback = onAnswered
    onAnswered = undefined
    callback?.(answer)
  }

  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(8192)
    const socket = net.connect({
      ...target,
      noDelay: true,
      // Reuse one buffer instead of allocating one for every read.
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
          onAnswered = onAnswer
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
