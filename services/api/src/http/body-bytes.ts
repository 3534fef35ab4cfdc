import type { IncomingMessage } from 'node:http'
import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** Largest request body, in bytes. */
export const MAX_BODY_BYTES = 16 * 1024

function tooLarge(): AppError {
  return new AppError('payload_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes.`)
}

function cutShort(): AppError {
  return new AppError('invalid_request', 'The request ended before its body was complete.')
}

/**
 * Reads at most {@link MAX_BODY_BYTES} of the request body; a longer one is given up at once, whether or not the
 * client announced its length.
 * @throws AppError `payload_too_large`; `invalid_request` where the client went away in the middle
 */
export async function readBytes(c: Context<AppEnv>): Promise<Uint8Array> {
  const announced = c.req.header('content-length')
  if (announced !== undefined && Number(announced) > MAX_BODY_BYTES) throw tooLarge()
  const incoming = c.env?.incoming
  return incoming === undefined ? readStream(c.req.raw.body) : readIncoming(incoming)
}

/** Straight from Node's stream: the web stream over it costs as much as the rest of a request. */
function readIncoming(incoming: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (error?: AppError): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut)
      if (error !== undefined) reject(error)
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      chunks.push(chunk)
      if (size <= MAX_BODY_BYTES) return
      settle(tooLarge())
      // The adapter lets the rest run off for half a second and then closes: closed at once, with bytes still
      // arriving, the connection would be reset before the client could read the answer.
      incoming.pause()
    }
    const onEnd = (): void => settle()
    const onCut = (): void => settle(cutShort())
    incoming.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut)
    if (incoming.destroyed) onCut()
  })
}

async function readStream(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream ?? []) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
