import { createServer } from 'node:http'

/** The port that traced processes are told; workloads are put together before anything listens. */
const PORT = 43_180

/** Settings of a process that sends that share of its traces to the sink. */
export const tracedEnv = (share: number): Record<string, string> => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${PORT}`,
  OTEL_TRACES_SAMPLER_ARG: String(share),
})

/** Takes spans and forgets them, as a collector on another machine would. Returns its end. */
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
