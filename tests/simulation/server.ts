import type { Random } from '../random.ts'
import type { ArmedCuts } from './armed-cuts.ts'
import { type Clock, createProcess, type SimProcess } from './clock.ts'
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type Wire,
} from './connection.ts'

/** A server with connections that can break. */
export interface Server {
  /** Opens a connection. It ends with its process. */
  connect(process: SimProcess, options: ConnectionOptions): Connection
  /** Breaks each connection with this probability. */
  cut(chance: number): void
  /** Stops answering for a time. No connection breaks. */
  freeze(ms: number): void
  /** Breaks all connections and accepts none for a time. */
  goDown(ms: number): void
  /** The same, and what is under way to the server never arrives. */
  restart(downMs: number): void
}

/** @param latencyMs bounds of the latency in one direction, in milliseconds */
export function createServer(
  clock: Clock,
  random: Random,
  armedCuts: ArmedCuts,
  latencyMs: [number, number],
): Server {
  const self = createProcess('server')
  const open = new Set<{ process: SimProcess; cut: () => void }>()
  let downUntilMs = 0
  let restarts = 0
  const wire: Wire = {
    clock,
    random,
    armedCuts,
    server: self,
    restarts: () => restarts,
    isUp: () => clock.now() >= downUntilMs,
    latencyMs: () => latencyMs[0] + random.next() * (latencyMs[1] - latencyMs[0]),
  }

  function cut(chance: number): void {
    for (const link of [...open])
      if (!link.process.alive) open.delete(link)
      else if (random.chance(chance)) link.cut()
  }

  function goDown(ms: number): void {
    downUntilMs = Math.max(downUntilMs, clock.now() + ms)
    cut(1)
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
    goDown,
    restart(downMs) {
      restarts += 1
      self.frozenUntilMs = 0
      goDown(downMs)
    },
  }
}
