import { runService } from '@ticket-line/shared'
import { readConfig } from './config.js'

/** How long the other parts may take to close after the grace period of the requests, ms. */
const CLOSE_MS = 1000

await runService({
  name: 'api',
  env: process.env,
  readConfig,
  async start(config, log, closers, onRefused) {
    // Loading all modules takes a second, so the settings are checked first.
    const { startApi } = await import('./start-api.js')
    const { port } = await startApi(config, log, closers, onRefused)
    return { port, sharedLines: config.layout.sharedLines }
  },
  closeWithinMs: ({ shutdownGraceMs }) => shutdownGraceMs + CLOSE_MS,
})
