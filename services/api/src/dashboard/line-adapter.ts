import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { eventIdOfLine } from '@ticket-line/line'
import { type Clock, readJobPayload } from '@ticket-line/shared'
import type { Job, Queue } from 'bullmq'
import { LRUCache } from 'lru-cache'
import { eventIdsOf, readableJob } from './readable-job.js'

/** Maximum number of names that are kept, and that one request of the board reads. */
const NAMES_KEPT = 2000
const NAMES_PER_READ = 500
/** A request of the board reads a name again if it is older than this, ms. */
const NAME_AGE_MS = 10_000
/** Maximum length of a name on the board, in characters. An event's name may have 200. */
const SHOWN_NAME_LENGTH = 60

/** The names of the events on the board. */
export interface EventNames {
  /** Reads the names that are unknown or old. It never rejects: without a name, the id is shown. */
  load(eventIds: readonly number[]): Promise<void>
  /** The name that was read last, if the event has one. */
  nameOf(eventId: number): string | undefined
}

/** @param read reads the names of the events that have one */
export function createEventNames(
  read: (eventIds: number[]) => Promise<Map<number, string>>,
  clock: Clock,
): EventNames {
  const known = new LRUCache<number, { name: string | undefined; readAtMs: number }>({
    max: NAMES_KEPT,
  })
  return {
    async load(eventIds) {
      const readAtMs = clock.steadyMs()
      const isOld = (eventId: number): boolean =>
        readAtMs > (known.get(eventId)?.readAtMs ?? Number.NEGATIVE_INFINITY) + NAME_AGE_MS
      const wanted = eventIds.filter(isOld).slice(0, NAMES_PER_READ)
      if (wanted.length === 0) return
      // While PostgreSQL is unavailable, an old name is better than none.
      const names = await read(wanted).catch(() => undefined)
      if (names === undefined) return
      for (const eventId of wanted) known.set(eventId, { name: names.get(eventId), readAtMs })
    },
    nameOf: (eventId) => known.get(eventId)?.name,
  }
}

/**
 * Presents a line to the board: by the name of its event, and with readable jobs. The board reads
 * jobs only to show them or to act on them, so what it shows may differ from what Redis has.
 */
export class LineAdapter extends BullMQAdapter {
  readonly #names: EventNames
  readonly #lineName: string
  /** Undefined for a line that several events share. */
  readonly eventId: number | undefined

  constructor(queue: Queue, { readOnly, names }: { readOnly: boolean; names: EventNames }) {
    super(queue, { readOnlyMode: readOnly })
    this.#names = names
    this.#lineName = queue.name
    this.eventId = eventIdOfLine(queue.name)
  }

  override getDisplayName(): string {
    const name = this.eventId === undefined ? undefined : this.#names.nameOf(this.eventId)
    if (name === undefined) return this.#lineName
    const characters = [...name]
    const shown =
      characters.length <= SHOWN_NAME_LENGTH
        ? name
        : `${characters.slice(0, SHOWN_NAME_LENGTH - 1).join('')}…`
    return `${shown} · ${this.#lineName}`
  }

  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id)
    if (job !== undefined) await this.#makeReadable([job])
    return job
  }

  override async getJobs(...range: Parameters<BullMQAdapter['getJobs']>): Promise<Job[]> {
    const jobs = await super.getJobs(...range)
    await this.#makeReadable(jobs)
    return jobs
  }

  /** Changes what `toJSON` returns, because the board shows that and uses it for nothing else. */
  async #makeReadable(jobs: Job[]): Promise<void> {
    if (this.eventId === undefined) {
      const payloads = jobs.map(({ data }) => readJobPayload(data))
      await this.#names.load([
        ...new Set(payloads.flatMap((read) => (typeof read === 'string' ? [] : eventIdsOf(read)))),
      ])
    }
    for (const job of jobs) {
      const toJson = job.toJSON.bind(job)
      job.toJSON = () => {
        const json = toJson()
        try {
          return { ...json, ...readableJob(json, this.#names.nameOf) }
        } catch {
          // Somebody has written values into Redis that no process of this system writes.
          return json
        }
      }
    }
  }
}
