import { commandIdOf } from '@ticket-line/shared'
import { createProcess } from './clock.ts'
import type { Injections } from './fault-injection.ts'
import type { World } from './world.ts'

/** A settle enters its line within this time after the deadline, ms. */
const ENTERS_WITHIN_MS = 2000
/** The same after the end of a fault. */
const RECOVERS_WITHIN_MS = 5000
const LOOK_EVERY_MS = 100

/**
 * Watches that a settle enters its line in time, and that an event has one at a time unless faults
 * caused more. Reports what it finds as bugs.
 * @returns a function that returns the events of which something is due and will be settled
 */
export function watchSettles(world: World, { faults, disturbances }: Injections): () => number[] {
  const { clock, data, postgres, settles, reportBug } = world
  const watcher = createProcess('watcher')
  const overdue = createStopwatches()
  const missing = createStopwatches()
  /** When processes ended. Poison ends some without a fault. */
  const ends: number[] = []
  world.onEnd(() => void ends.push(clock.now()))

  const hadFault = (): boolean => faults.length + ends.length > 0

  function look(): void {
    clock.after(LOOK_EVERY_MS, watcher, look)
    const due = new Set(postgres.dueEvents())
    const undecided = data
      .undecided()
      .filter((jobId) => !postgres.rows.commands.has(commandIdOf(jobId, 0)))
      .flatMap((jobId) => settles.get(jobId) ?? [])
    const nowMs = clock.now()
    for (const [eventId, { row }] of postgres.rows.events) {
      const deadline = due.has(eventId) ? row.dueAtMs : null
      const overdueMs = overdue(eventId, deadline, nowMs)
      const missingMs = missing(eventId, undecided.includes(eventId) ? null : deadline, nowMs)
      if (overdueMs > ENTERS_WITHIN_MS && !hadFault())
        reportBug(new Error(`event ${eventId} is overdue, and there was no fault`))
      if (missingMs > ENTERS_WITHIN_MS && isCalm(nowMs) && !isGivenUp(eventId))
        reportBug(new Error(`event ${eventId} is due, and no settle entered its line`))
    }
    if (!hadFault() && new Set(undecided).size < undecided.length)
      reportBug(new Error('an event has two undecided settles, and there was no fault'))
  }

  /** True if the last fault ended so long ago that everything works again. */
  function isCalm(nowMs: number): boolean {
    const disturbed = disturbances.map(({ untilMs }) => untilMs)
    return [...faults.map(({ atMs }) => atMs), ...disturbed, ...ends].every(
      (endMs) => nowMs - endMs > RECOVERS_WITHIN_MS,
    )
  }

  /** True if a settle of the event was rejected. It gets no other for a while. */
  function isGivenUp(eventId: number): boolean {
    return postgres.log.some(
      ({ command, outcome }) =>
        command.type === 'settle' && command.eventId === eventId && outcome.outcome === 'rejected',
    )
  }

  look()
  return () => postgres.dueEvents().filter((eventId) => !isGivenUp(eventId))
}

/** @returns a function that returns for how long an event has had the same deadline, ms */
function createStopwatches() {
  const since = new Map<number, { deadline: number | null; fromMs: number }>()
  return (eventId: number, deadline: number | null, nowMs: number): number => {
    const known = since.get(eventId)
    if (known?.deadline !== deadline || known === undefined)
      since.set(eventId, { deadline, fromMs: nowMs })
    return deadline === null || known?.deadline !== deadline ? 0 : nowMs - known.fromMs
  }
}
