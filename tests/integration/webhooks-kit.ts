import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Webhook } from 'standardwebhooks'
import { expect } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type Env, type ServiceProcess, startNotifier } from '../stack/processes.ts'
import { type Received, type Receiver, startReceiver } from '../stack/receiver.ts'
import { createBase } from '../stack/system.ts'
import { addChanges, addWebhook, type WebhookRow } from '../stack/webhook-rows.ts'

/** Notifiers with a database and receivers, without an API and a worker. */
export interface WebhookStack {
  pool: pg.Pool
  redis: Redis
  env: Env
  databaseUrl: string
  keyPrefix: string
  receiver: Receiver
  addReceiver(): Promise<Receiver>
  addNotifier(env?: Env): Promise<ServiceProcess>
  /** Adds a webhook that sends to the first receiver, unless it has another URL. */
  addWebhook(row?: Partial<WebhookRow>): Promise<{ webhookId: string; secret: string }>
  /** Writes changes and announces them, as a worker does. @returns the last number */
  change(eventId: number, count?: number, type?: Parameters<typeof addChanges>[3]): Promise<number>
  /** Reads a cursor. */
  cursorOf(webhookId: string, eventId: number): Promise<CursorRow | undefined>
  waitForCursor(
    webhookId: string,
    eventId: number,
    isReached: (cursor: CursorRow) => boolean,
    timeoutMs?: number,
  ): Promise<void>
  stop(): Promise<void>
}

export interface CursorRow {
  delivered_no: number
  attempts: number
  due_in_ms: number | null
}

export async function startWebhookStack(): Promise<WebhookStack> {
  const base = await createBase()
  const { databaseUrl, redisUrl, keyPrefix } = base
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 })
  // The suite may end while a connection is open.
  pool.on('error', () => undefined)
  const redis = new Redis(redisUrl)
  const secretKey = randomBytes(32).toString('hex')
  const env: Env = {
    NODE_ENV: 'test',
    LOG_LEVEL: 'info',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    KEY_PREFIX: keyPrefix,
    WEBHOOK_SECRET_KEY: secretKey,
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
  }
  const notifiers: ServiceProcess[] = []
  const receivers: Receiver[] = [await startReceiver()]
  const [receiver] = receivers as [Receiver]

  async function cursorOf(webhookId: string, eventId: number): Promise<CursorRow | undefined> {
    const { rows } = await pool.query<CursorRow>(
      `SELECT delivered_no::int, attempts,
          (extract(epoch FROM next_attempt_at - now()) * 1000)::float8 AS due_in_ms
        FROM webhook_cursors WHERE webhook_id = $1 AND event_id = $2`,
      [webhookId, eventId],
    )
    return rows[0]
  }

  return {
    pool,
    redis,
    env,
    databaseUrl,
    keyPrefix,
    receiver,
    async addReceiver() {
      const added = await startReceiver()
      receivers.push(added)
      return added
    },
    async addNotifier(extra = {}) {
      const notifier = await startNotifier({ ...env, ...extra })
      notifiers.push(notifier)
      return notifier
    },
    addWebhook: (row = {}) => addWebhook(pool, secretKey, { url: receiver.url, ...row }),
    async change(eventId, count = 1, type) {
      const no = await addChanges(pool, eventId, count, type)
      await redis.publish(`${keyPrefix}{s0}:changes`, `${eventId}:${no}`)
      return no
    },
    cursorOf,
    async waitForCursor(webhookId, eventId, isReached, timeoutMs = 10_000) {
      const reached = await until(
        async () => {
          const cursor = await cursorOf(webhookId, eventId)
          return cursor !== undefined && isReached(cursor)
        },
        { timeoutMs },
      )
      const cursor = JSON.stringify(await cursorOf(webhookId, eventId))
      expect(reached, `the cursor is ${cursor}`).toBe(true)
    },
    async stop() {
      await Promise.all(notifiers.map((notifier) => notifier.stop()))
      await Promise.all(receivers.map((each) => each.close()))
      redis.disconnect()
      await pool.end()
      await base.remove()
    },
  }
}

/** Checks the signature with the reference library. */
export function verify({ text, headers }: Received, secret: string): void {
  new Webhook(secret).verify(text, headers)
}

/** The numbers from 1 to `last`, or from `first`. */
export const numbersTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)
