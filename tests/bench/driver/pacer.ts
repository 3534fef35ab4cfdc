/**
 * Tells the driver when requests are due. It runs in a thread of its own, because a timer of the
 * event loop fires up to a millisecond late, which is as long as some responses take, and a loop
 * that polls the clock would need a core.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from './clock.ts'

/** The first message has `startMs`, by {@link monotonicMs}. The others count the due requests. */
export type PacerMessage = { startMs: number } | { due: number }

const START_DELAY_MS = 50

/** Due times from the start, ascending. */
const { offsetsMs } = workerData as { offsetsMs: Float64Array }
const tell = (message: PacerMessage): void => parentPort?.postMessage(message)
const never = new Int32Array(new SharedArrayBuffer(4))

// Set in this thread, so that the time it takes to start delays no request.
const startMs = monotonicMs() + START_DELAY_MS
tell({ startMs })
for (let due = 0; due < offsetsMs.length; ) {
  const waitMs = startMs + (offsetsMs[due] as number) - monotonicMs()
  if (waitMs > 0.01) Atomics.wait(never, 0, 0, waitMs)
  const elapsedMs = monotonicMs() - startMs
  while (due < offsetsMs.length && (offsetsMs[due] as number) <= elapsedMs) due++
  tell({ due })
}
