import { isAck } from '../check/answers.ts'
import type { History, ListRead } from '../history.ts'
import type { Caller } from './http-client.ts'
import { type Entry, SILENT_AFTER_MS, STAFF } from './send-command.ts'

const AT_ONCE = 32

/** After the last fault: asks for every job that was promised, for every event's standing and for its lists. */
export async function lastLook(caller: Caller, entries: Entry[], history: History): Promise<void> {
  const token = await caller.token(STAFF, 'organizer')
  const ask = (entry: Entry, path: string) =>
    caller.ask(entry.url, { method: 'GET', path, token, silentAfterMs: SILENT_AFTER_MS })
  const entryOf = (index: number): Entry => entries[index % entries.length] as Entry

  const promised = new Set<string>()
  for (const { answer } of history.commands) {
    if (isAck(answer) && answer?.jobId !== undefined) promised.add(answer.jobId)
  }
  await eachAtOnce([...promised], async (jobId, index) => {
    const entry = entryOf(index)
    history.jobs.push({
      kind: 'job',
      jobId,
      final: true,
      api: entry.name,
      ...(await ask(entry, `/jobs/${jobId}`)),
    })
  })
  await eachAtOnce(history.events, async ({ eventId }, index) => {
    const entry = entryOf(index)
    const exchange = await ask(entry, `/status/${eventId}`)
    history.statuses.push({ kind: 'status', eventId, final: true, api: entry.name, ...exchange })
    for (const list of ['bookings', 'waiting-list'] as const) {
      const items: ListRead['items'] = []
      for (let after: string | null = ''; after !== null; ) {
        const page = await ask(
          entry,
          `/events/${eventId}/${list}?limit=100${after === '' ? '' : `&after=${after}`}`,
        )
        items.push(...(page.answer?.body?.[list === 'bookings' ? 'bookings' : 'waiting'] ?? []))
        after = page.answer?.body?.next ?? null
      }
      history.lists.push({ eventId, list, items })
    }
  })
}

async function eachAtOnce<T>(
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
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
