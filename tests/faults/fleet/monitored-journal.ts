import { appendFileSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { monitorRedis, type RedisMonitor } from '../../stack/redis-monitor.ts'

export interface MonitoredJournal {
  stop(): void
}

/** Services connect again later than this, so that no write of theirs is missed, ms. */
const CONNECT_AGAIN_MS = 5

/**
 * Keeps the journal that the checker needs, if Redis has no append-only file or may lose the last
 * writes of it. `MONITOR` shows what scripts do, across all restarts of Redis. This is written into
 * a file in the format of an append-only file.
 *
 * @param folder gets the file, where `readJournal` looks for it
 * @returns when no write is missed from now on
 */
export async function startMonitoredJournal(
  redisUrl: string,
  folder: string,
): Promise<MonitoredJournal> {
  const file = path.join(folder, 'appendonlydir', 'monitored.incr.aof')
  mkdirSync(path.dirname(file), { recursive: true })
  let isStopped = false
  let monitor = await connect()
  void keepConnected()

  function connect(): Promise<RedisMonitor> {
    return monitorRedis(redisUrl, (words, source) => {
      // Jobs enter and leave their lines in scripts of BullMQ and of the product.
      if (source === 'lua') appendFileSync(file, commandOf(words.map(unquoted)))
    })
  }

  async function keepConnected(): Promise<void> {
    while (!isStopped) {
      await monitor.ended
      try {
        monitor = await connect()
      } catch {
        await sleep(CONNECT_AGAIN_MS)
      }
    }
    monitor.close()
  }

  return {
    stop() {
      isStopped = true
      monitor.close()
    },
  }
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }

/** A word without the escapes of `MONITOR`. */
function unquoted(word: string): string {
  return word.replace(/\\(x[0-9a-f]{2}|.)/g, (_, escaped: string) =>
    escaped.length === 3
      ? String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
      : (ESCAPES[escaped] ?? escaped),
  )
}

/** A command as it is written in an append-only file. */
function commandOf(words: string[]): string {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${words.length}\r\n${parts.join('')}`
}
