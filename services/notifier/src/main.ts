import { runService } from '@ticket-line/shared'
import { readConfig } from './config.js'
import { startNotifier } from './notifier.js'

await runService({
  name: 'notifier',
  env: process.env,
  readConfig,
  async start(config, log, closers, onRefused) {
    const { port } = await startNotifier(config, log, closers, onRefused)
    return { port }
  },
  closeWithinMs: ({ shutdownGraceMs }) => shutdownGraceMs,
})
