import type { Log } from '@ticket-line/shared'
import type { Tracing, TracingConfig } from './tracing.js'

/** Starts tracing if it is on. Only then does it load the SDK, which takes 100 ms and 15 MB. */
export async function startTracing(
  config: TracingConfig | undefined,
  log: Log,
): Promise<Tracing | undefined> {
  if (config === undefined) return undefined
  const { createTracing } = await import('./otel.js')
  return createTracing(config, log)
}
