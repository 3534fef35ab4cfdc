import type { Random } from '../random.ts'
import { type Clock, createProcess, type SimProcess } from './clock.ts'
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type Wire,
} from './connection.ts'
import type { Traps } from './traps.ts'

/** A server that processes talk to over connections that break. */
export interface Server {
  /** Opens a connection for a process; gone with it. */
  connect(process: SimProcess, options: ConnectionOptions): Connection
  /** Breaks some of the connections, each with that chance. */
  cut(chance: number): void
  /** Answers nobody for a while; nothing breaks. */
  freeze(ms: number): void
  /** Breaks all connections and takes none for a while. */
  goDown(ms: number): void
}

/** @param latencyMs bounds of the time that one way takes */
export function createServer(
  clock: Clock,
  random: Random,
  traps: Traps,
  latencyMs: [number, number],
): Server {
  const self = createProcess('server')
  const open = new Set<{ process: SimProcess; cut: () => void }>()
  let downUntilMs = 0
  const wire: Wire = {
    clock,
    random,
    traps,
    server: self,
    isUp: () => clock.now() >= downUntilMs,
    latencyMs: () => latencyMs[0] + random.next() * (latencyMs[1] - latencyMs[0]),
  }

  function cut(chance: number): void {
    for (const link of [...open])
      if (!link.process.alive) open.delete(link)
      else if (random.chance(chance)) link.cut()
  }

  return {
    connect(process, options) {
      const { connection, cut } = createConnection(wire, process, options)
      open.add({ process, cut })
      return connection
    },
    cut,
    freeze(ms) {
      self.frozenUntilMs = Math.max(self.frozenUntilMs, clock.now() + ms)
    },
    goDown(ms) {
      downUntilMs = Math.max(downUntilMs, clock.now() + ms)
      cut(1)
    },
  }
}
