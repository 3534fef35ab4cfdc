/**
 * Runs in a thread of its own and tells when requests are due. A timer of the event loop would be up to a millisecond
 * late, which is as long as some answers take, and a loop that looks at the clock would cost a core.
 */
import { parentPort, workerData } from 'node:worker_threads'

/** `dueAtMs` ascending, by {@link monotonicMs}. */
const { dueAtMs } = workerData as { dueAtMs: Float64Array }

/** The one clock that threads share. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

const never = new Int32Array(new SharedArrayBuffer(4))
for (let next = 0; next < dueAtMs.length; ) {
  const waitMs = (dueAtMs[next] as number) - monotonicMs()
  if (waitMs > 0.01) Atomics.wait(never, 0, 0, waitMs)
  const now = monotonicMs()
  while (next < dueAtMs.length && (dueAtMs[next] as number) <= now) next++
  parentPort?.postMessage(next)
}
