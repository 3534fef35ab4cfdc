/**
 * Runs in a thread of its own and tells when requests are due. A timer of the event loop would be up to a millisecond
 * late, which is as long as some answers take, and a loop that looks at the clock would cost a core.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from './clock.ts'

/** `startMs`, by {@link monotonicMs}, comes first; then, again and again, how many are due. */
export type PacerMessage = { startMs: number } | { due: number }

const START_DELAY_MS = 50

/** Ascending, from the start. */
const { offsetsMs } = workerData as { offsetsMs: Float64Array }
const tell = (message: PacerMessage): void => parentPort?.postMessage(message)
const never = new Int32Array(new SharedArrayBuffer(4))

// Chosen here, so that the time this thread took to start makes nothing late.
const startMs = monotonicMs() + START_DELAY_MS
tell({ startMs })
for (let due = 0; due < offsetsMs.length; ) {
  const waitMs = startMs + (offsetsMs[due] as number) - monotonicMs()
  if (waitMs > 0.01) Atomics.wait(never, 0, 0, waitMs)
  const elapsedMs = monotonicMs() - startMs
  while (due < offsetsMs.length && (offsetsMs[due] as number) <= elapsedMs) due++
  tell({ due })
}
