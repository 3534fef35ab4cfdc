import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { run, which } from '../../../tools/dev-stack/commands.mjs'

type ServerName = 'redis' | 'postgres'

/** The wall clocks of a Redis and of a PostgreSQL. */
export interface ServerClocks {
  /** Added to the environment of each server before it starts. */
  env: Record<ServerName, Record<string, string>>
  /** Sets the clock of a running server to the real time plus an offset. */
  step(server: ServerName, offsetMs: number): void
  /** Stops the clock of a running server until the next `step`. */
  stop(server: ServerName): void
}

const SOURCE = fileURLToPath(new URL('stepped-clock.c', import.meta.url))

/** @returns `undefined` if this is not Linux or has no C compiler to build the preloaded library */
export async function createServerClocks(folder: string): Promise<ServerClocks | undefined> {
  if (process.platform !== 'linux' || which('cc') === undefined) return undefined
  const library = path.join(folder, 'stepped-clock.so')
  await run('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE])
  const fileOf = (server: ServerName): string => path.join(folder, `${server}-clock-offset-ns`)
  const envOf = (server: ServerName): Record<string, string> => {
    writeFileSync(fileOf(server), Buffer.alloc(16))
    return { LD_PRELOAD: library, CLOCK_OFFSET_FILE: fileOf(server) }
  }
  function write(server: ServerName, offsetMs: number, stoppedAtMs: number): void {
    const numbers = Buffer.alloc(16)
    numbers.writeBigInt64LE(BigInt(offsetMs) * 1_000_000n)
    numbers.writeBigInt64LE(BigInt(stoppedAtMs) * 1_000_000n, 8)
    // Written in place. The server has the file mapped, and truncating it would crash the server.
    const file = openSync(fileOf(server), 'r+')
    writeSync(file, numbers)
    closeSync(file)
  }
  return {
    env: { redis: envOf('redis'), postgres: envOf('postgres') },
    step: (server, offsetMs) => write(server, offsetMs, 0),
    stop: (server) => write(server, 0, Date.now()),
  }
}
