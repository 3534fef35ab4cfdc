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

/** Forwards connections from one process to one server, and breaks them on request. */
export interface TcpProxy {
  port: number
  /** Number of open connections. */
  openCount(): number
  /**
   * Resets every connection, or only those on which a moment was recognized.
   * @returns how many
   */
  cutAll(seen?: Moment): number
  /** Resets every connection, and new ones until `restore`. */
  sever(): void
  /** Forwards nothing in either direction, and closes nothing, until `restore`. */
  hold(): void
  /**
   * Abandons the open connections for good, as if the host of the server had lost power: data sent
   * on them is lost, and nothing is closed. New connections work. `restore` does not undo this.
   */
  strand(): void
  /** Sends new connections to another server. Open ones are not affected. */
  retarget(target: ProxyOptions['target']): void
  restore(): void
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
    restore() {
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
