import { createServer } from 'node:http'

/** Fixed, because the settings of a workload are made before the sink listens. */
const PORT = 43_180

/** Environment of a process that sends a share (0 to 1) of its traces to the sink. */
export const tracedEnv = (share: number): Record<string, string> => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${PORT}`,
  OTEL_TRACES_SAMPLER_ARG: String(share),
})

/**
 * Starts a collector that discards all spans.
 *
 * @returns a function that stops it
 */
export async function startTraceSink(): Promise<() => void> {
  const server = createServer((request, response) => {
    request
      .resume()
      .on('end', () => response.setHeader('content-type', 'application/json').end('{}'))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(PORT, '127.0.0.1', resolve)
  })
  return () => {
    server.closeAllConnections()
    server.close()
  }
}
