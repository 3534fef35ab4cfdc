import { runService } from '@ticket-line/shared'
import { readConfig } from './config.js'
import { startWorker } from './worker.js'

await runService({
  name: 'booking-worker',
  env: process.env,
  readConfig,
  async start(config, log, closers, onRefused) {
    const { port } = await startWorker(config, log, closers, onRefused)
    return { port, sharedLines: config.layout.sharedLines, maxOpenLines: config.maxOpenLines }
  },
  closeWithinMs: ({ shutdownGraceMs }) => shutdownGraceMs,
})
