import type { Socket } from 'node:net'
import type { Moment, Wire } from './moments.ts'

/**
 * What is done at a moment.
 * - `cut-before`: the connection is reset and the server never sees the command.
 * - `cut-after`: the server carries it out; the reply is swallowed and the connection reset.
 * - `delay`: the reply, and all behind it, comes `ms` later.
 * - `late`: the connection is reset at once and the server gets the command `ms` later, when nobody waits any more.
 * - `stall`: the command, and all behind it, reaches the server `ms` later; the connection stays.
 *
 * At moments that show in a reply the command is done already: all but `delay` then swallow it and reset.
 */
export type Treatment =
  | { kind: 'cut-before' }
  | { kind: 'cut-after' }
  | { kind: 'delay'; ms: number }
  | { kind: 'late'; ms: number }
  | { kind: 'stall'; ms: number }

export interface LinkRules {
  wire: Wire
  /** Asked at every moment; `undefined` lets it pass. */
  treat: (moment: Moment) => Treatment | undefined
}

/** One connection through the proxy. */
export interface Link {
  /** Moments that were seen in its commands so far. */
  seen: ReadonlySet<Moment>
  cut(): void
  hold(): void
  release(): void
  closed: Promise<void>
}

/** A reply is swallowed when its first bytes come; where none come the connection is cut after this. */
const SWALLOW_WITHIN_MS = 1000
/** How long the server's side stays open to finish what it was sent. */
const LINGER_MS = 5000

/** Couples two sockets. Both are read and written here alone. */
export function createLink(client: Socket, upstream: Socket, { wire, treat }: LinkRules): Link {
  const framer = wire.createFramer()
  /** Set while replies are kept back: what has come meanwhile. */
  let keptBack: Buffer[] | undefined
  /** Set while commands are kept from the server. */
  let stalled: Buffer[] | undefined
  let swallowing = false
  let done = false
  let held = false
  const heldBack: Buffer[] = []
  const seen = new Set<Moment>()

  client.setNoDelay(true)
  upstream.setNoDelay(true)
  const closed = new Promise<void>((resolve) => {
    client.once('close', resolve)
  })

  /** An end lets the server carry out what it has received; a reset could discard it unread. */
  function leaveServer(lastWords?: Buffer): void {
    if (lastWords !== undefined) upstream.write(lastWords)
    upstream.end()
    upstream.resume()
    setTimeout(() => upstream.destroy(), LINGER_MS).unref()
  }

  function cut(): void {
    if (done) return
    done = true
    client.resetAndDestroy()
    leaveServer()
  }

  function keepRepliesBack(ms: number, first: Buffer[] = []): void {
    keptBack ??= first
    setTimeout(() => {
      const replies = keptBack ?? []
      keptBack = undefined
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
    const treatment = moment === undefined ? undefined : treat(moment)
    switch (treatment?.kind) {
      case undefined:
        upstream.write(frame)
        return
      case 'cut-before':
        cut()
        return
      case 'cut-after':
        swallowing = true
        upstream.write(frame)
        setTimeout(cut, SWALLOW_WITHIN_MS).unref()
        return
      case 'delay':
        upstream.write(frame)
        keepRepliesBack(treatment.ms)
        return
      case 'late':
        done = true
        client.resetAndDestroy()
        setTimeout(() => leaveServer(frame), treatment.ms)
        return
      case 'stall':
        stalled = [frame]
        setTimeout(() => {
          for (const late of stalled?.splice(0) ?? []) upstream.write(late)
          stalled = undefined
        }, treatment.ms)
        return
    }
  }

  function reply(chunk: Buffer): void {
    if (keptBack !== undefined) {
      keptBack.push(chunk)
      return
    }
    const moment = swallowing ? undefined : wire.inReply(chunk)
    const treatment = moment === undefined ? undefined : treat(moment)
    if (treatment?.kind === 'delay') keepRepliesBack(treatment.ms, [chunk])
    else if (swallowing || treatment !== undefined) cut()
    else if (!client.write(chunk)) upstream.pause()
  }

  function take(chunk: Buffer): void {
    for (const frame of framer.push(chunk)) if (!done && !swallowing) command(frame)
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
    leaveServer()
  })
  // A server that is gone is gone for the client as well, in the way the kernel would say it.
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
