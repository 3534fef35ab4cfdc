import { setFlagsFromString } from 'node:v8'
import { runService } from '@ticket-line/shared'
import { readConfig } from './config.js'

// Without this flag, V8 learns from a burst that the objects of requests live long, because all of
// them survive the collection that happens during the burst. It then allocates such objects in the
// old generation. There they outlive their requests, and keep everything that they refer to, until
// the next full collection (docs/benchmarks/notebook.md).
setFlagsFromString('--no-allocation-site-pretenuring')

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
