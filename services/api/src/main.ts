import { runService } from '@ticket-line/shared'
import { readConfig } from './config.js'

/** How long the remaining parts may take to close after the grace of the requests, ms. */
const CLOSE_MS = 1000

await runService({
  name: 'api',
  env: process.env,
  readConfig,
  async start(config, log, closers, onRefused) {
    // Loading everything takes a second, so it happens after the settings were found to be usable.
    const { startApi } = await import('./start-api.js')
    const { port } = await startApi(config, log, closers, onRefused)
    return { port, lines: config.layout.lines }
  },
  closeWithinMs: ({ shutdownGraceMs }) => shutdownGraceMs + CLOSE_MS,
})
