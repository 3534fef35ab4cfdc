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
}

const SOURCE = fileURLToPath(new URL('stepped-clock.c', import.meta.url))

/** @returns `undefined` if this is not Linux or has no C compiler to build the preloaded library */
export async function createServerClocks(folder: string): Promise<ServerClocks | undefined> {
  if (process.platform !== 'linux' || which('cc') === undefined) return undefined
  const library = path.join(folder, 'stepped-clock.so')
  await run('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE])
  const fileOf = (server: ServerName): string => path.join(folder, `${server}-clock-offset-ns`)
  const envOf = (server: ServerName): Record<string, string> => {
    writeFileSync(fileOf(server), Buffer.alloc(8))
    return { LD_PRELOAD: library, CLOCK_OFFSET_FILE: fileOf(server) }
  }
  return {
    env: { redis: envOf('redis'), postgres: envOf('postgres') },
    step(server, offsetMs) {
      const offset = Buffer.alloc(8)
      offset.writeBigInt64LE(BigInt(offsetMs) * 1_000_000n)
      // Written in place. The server has the file mapped, and truncating it would crash the server.
      const file = openSync(fileOf(server), 'r+')
      writeSync(file, offset)
      closeSync(file)
    },
  }
}
