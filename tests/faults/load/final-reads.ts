import { setTimeout as sleep } from 'node:timers/promises'
import { isAcknowledged } from '../check/answers.ts'
import type { History, ListRead } from '../history.ts'
import type { Exchange, HttpClient } from './http-client.ts'
import { type Endpoint, STAFF, TIMEOUT_MS } from './send-command.ts'

const CONCURRENCY = 32
const READABLE_WITHIN_MS = 20_000
const AGAIN_AFTER_MS = 500

const LISTS = [
  ['bookings', 'bookings?', 'bookings'],
  ['holds', 'bookings?standing=held&', 'bookings'],
  ['waiting-list', 'waiting-list?', 'waiting'],
] as const

/** Reads every promised job, and the status and the lists of every event, after the last fault. */
export async function readFinalState(
  client: HttpClient,
  endpoints: Endpoint[],
  history: History,
): Promise<void> {
  const token = await client.token(STAFF, 'organizer')

  /** Repeats a read that gets 503, as clients do: a busy machine answers late. */
  async function get(endpoint: Endpoint, path: string): Promise<Exchange> {
    const untilMs = performance.now() + READABLE_WITHIN_MS
    for (;;) {
      const request = { method: 'GET', path, token, timeoutMs: TIMEOUT_MS } as const
      const exchange = await client.send(endpoint.url, request)
      if (exchange.answer?.status !== 503 || performance.now() > untilMs) return exchange
      await sleep(AGAIN_AFTER_MS)
    }
  }
  const endpointOf = (index: number): Endpoint => endpoints[index % endpoints.length] as Endpoint

  const promised = new Set<string>()
  for (const { answer } of history.commands) {
    if (isAcknowledged(answer) && answer?.jobId !== undefined) promised.add(answer.jobId)
  }
  await forEachConcurrently([...promised], async (jobId, index) => {
    const endpoint = endpointOf(index)
    history.jobs.push({
      kind: 'job',
      jobId,
      final: true,
      api: endpoint.name,
      ...(await get(endpoint, `/jobs/${jobId}`)),
    })
  })
  await forEachConcurrently(history.events, async ({ eventId }, index) => {
    const endpoint = endpointOf(index)
    const exchange = await get(endpoint, `/status/${eventId}`)
    history.statuses.push({ kind: 'status', eventId, final: true, api: endpoint.name, ...exchange })
    for (const [list, path, member] of LISTS) {
      const items: ListRead['items'] = []
      for (let after: string | null = ''; after !== null; ) {
        const page = await get(
          endpoint,
          `/events/${eventId}/${path}limit=100${after === '' ? '' : `&after=${after}`}`,
        )
        items.push(...(page.answer?.body?.[member] ?? []))
        after = page.answer?.body?.next ?? null
      }
      history.lists.push({ eventId, list, items })
    }
  })
}

async function forEachConcurrently<T>(
  items: T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      await work(items[index] as T, index)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}
