import type { Socket } from 'node:net'
import type { Moment, Wire } from './moments.ts'

/**
 * What the proxy does at a moment:
 * - `cut-before` resets the connection. The server never gets the command.
 * - `cut-after` lets the server run the command, discards the reply and resets the connection.
 * - `delay` delivers the reply, and all replies after it, `ms` later.
 * - `late` resets the connection at once. The server gets the command `ms` later, when no client
 *   waits for its reply.
 * - `stall` delivers the command, and all commands after it, `ms` later. The connection stays open.
 *
 * At a moment that is recognized in a reply, the command has run already. Everything except `delay`
 * then discards the reply and resets the connection.
 */
export type Intervention =
  | { kind: 'cut-before' }
  | { kind: 'cut-after' }
  | { kind: 'delay'; ms: number }
  | { kind: 'late'; ms: number }
  | { kind: 'stall'; ms: number }

export interface LinkRules {
  wire: Wire
  /** Called at every moment. If it returns `undefined`, or is absent, the data passes. */
  intervene?: (moment: Moment) => Intervention | undefined
}

/** One connection through the proxy. */
export interface Link {
  /** Moments recognized in its commands so far. */
  seen: ReadonlySet<Moment>
  /** Resets the connection to the client. */
  cut(): void
  /** Stops forwarding in both directions until `release`. */
  hold(): void
  release(): void
  closed: Promise<void>
}

/** `cut-after` cuts when the reply begins, or after this time if there is no reply. */
const DISCARD_WITHIN_MS = 1000
/**
 * How long the connection to the server stays open, so that the server can run what it was sent.
 */
const LINGER_MS = 5000

/** Connects two sockets. Nothing else may read or write them. */
export function createLink(client: Socket, upstream: Socket, { wire, intervene }: LinkRules): Link {
  const framer = wire.createFramer()
  /** Replies received during a `delay`. */
  let delayed: Buffer[] | undefined
  /** Commands received during a `stall`. */
  let stalled: Buffer[] | undefined
  let discarding = false
  let done = false
  let held = false
  const heldBack: Buffer[] = []
  const seen = new Set<Moment>()

  client.setNoDelay(true)
  upstream.setNoDelay(true)
  const closed = new Promise<void>((resolve) => {
    client.once('close', resolve)
  })

  /** Ends the connection: after a reset, the server could discard commands that it has not read. */
  function endUpstream(lastCommand?: Buffer): void {
    if (lastCommand !== undefined) upstream.write(lastCommand)
    upstream.end()
    upstream.resume()
    setTimeout(() => upstream.destroy(), LINGER_MS).unref()
  }

  function cut(): void {
    if (done) return
    done = true
    client.resetAndDestroy()
    endUpstream()
  }

  function delayReplies(ms: number, first: Buffer[] = []): void {
    delayed ??= first
    setTimeout(() => {
      const replies = delayed ?? []
      delayed = undefined
      if (!done) for (const chunk of replies) client.write(chunk)
    }, ms)
  }

  function command(frame: Buffer): void {
    if (stalled !== undefined) {
      stalled.push(frame)
      return
    }
    const moment = wire.inCommand(frame)
    if (moment !== undefined) seen.add(moment)
    const intervention = moment === undefined ? undefined : intervene?.(moment)
    switch (intervention?.kind) {
      case undefined:
        upstream.write(frame)
        return
      case 'cut-before':
        cut()
        return
      case 'cut-after':
        discarding = true
        upstream.write(frame)
        setTimeout(cut, DISCARD_WITHIN_MS).unref()
        return
      case 'delay':
        upstream.write(frame)
        delayReplies(intervention.ms)
        return
      case 'late':
        done = true
        client.resetAndDestroy()
        setTimeout(() => endUpstream(frame), intervention.ms)
        return
      case 'stall':
        stalled = [frame]
        setTimeout(() => {
          for (const late of stalled?.splice(0) ?? []) upstream.write(late)
          stalled = undefined
        }, intervention.ms)
        return
    }
  }

  function reply(chunk: Buffer): void {
    if (delayed !== undefined) {
      delayed.push(chunk)
      return
    }
    const moment = discarding ? undefined : wire.inReply(chunk)
    const intervention = moment === undefined ? undefined : intervene?.(moment)
    if (intervention?.kind === 'delay') delayReplies(intervention.ms, [chunk])
    else if (discarding || intervention !== undefined) cut()
    else if (!client.write(chunk)) upstream.pause()
  }

  function take(chunk: Buffer): void {
    for (const frame of framer.push(chunk)) if (!done && !discarding) command(frame)
  }

  client.on('data', (chunk: Buffer) => {
    if (held) heldBack.push(chunk)
    else take(chunk)
  })
  upstream.on('data', (chunk: Buffer) => {
    if (!done) reply(chunk)
  })
  client.on('drain', () => {
    if (!held) upstream.resume()
  })
  client.on('error', () => undefined)
  upstream.on('error', () => undefined)
  client.on('close', () => {
    if (done) return
    done = true
    endUpstream()
  })
  // The client sees what the kernel would show it if the server had closed the connection.
  upstream.on('close', () => client.resetAndDestroy())

  return {
    seen,
    cut,
    hold() {
      held = true
      upstream.pause()
    },
    release() {
      if (!held) return
      held = false
      upstream.resume()
      for (const chunk of heldBack.splice(0)) take(chunk)
    },
    closed,
  }
}
