import {
  type AddressInfo,
  createServer,
  type Server,
  type Socket,
  connect as tcpConnect,
} from 'node:net'
import { createLink, type Link, type LinkRules } from './link.ts'
import type { Moment } from './moments.ts'

export interface ProxyOptions extends LinkRules {
  target: { host: string; port: number }
}

/** Stands between one process and one server, and breaks the way between them when told to. */
export interface TcpProxy {
  port: number
  /** Connections that are open now. */
  openCount(): number
  /** Resets every connection, or those on which a moment was seen, and gives their number. */
  cutAll(seen?: Moment): number
  /** Resets every connection and refuses new ones until `mend`. */
  sever(): void
  /** Forwards nothing in either direction and closes nothing, until `mend`. */
  hold(): void
  /**
   * Leaves the open connections hanging for ever, as a server's host does that died without a word: what is sent on them
   * is swallowed, in both directions, and nothing is closed. New ones go through; `mend` changes nothing about it.
   */
  strand(): void
  /** New connections go to another server; open ones stay where they are. */
  retarget(target: ProxyOptions['target']): void
  mend(): void
  close(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startProxy(options: ProxyOptions): Promise<TcpProxy> {
  const links = new Set<Link>()
  const stranded = new Set<Link>()
  let { target } = options
  let severed = false
  let held = false

  const server: Server = createServer((client: Socket) => {
    client.on('error', () => undefined)
    if (severed) {
      client.resetAndDestroy()
      return
    }
    const link = createLink(client, tcpConnect(target), options)
    links.add(link)
    if (held) link.hold()
    link.closed.then(() => links.delete(link) || stranded.delete(link))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const cutAll = (seen?: Moment): number => {
    const cut = [...links].filter((link) => seen === undefined || link.seen.has(seen))
    for (const link of cut) link.cut()
    return cut.length
  }
  return {
    port: (server.address() as AddressInfo).port,
    openCount: () => links.size,
    cutAll,
    sever() {
      severed = true
      cutAll()
    },
    hold() {
      held = true
      for (const link of links) link.hold()
    },
    strand() {
      for (const link of links) {
        link.hold()
        stranded.add(link)
      }
      links.clear()
    },
    retarget(next) {
      target = next
    },
    mend() {
      severed = false
      held = false
      for (const link of links) link.release()
    },
    async close() {
      cutAll()
      for (const link of stranded) link.cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
