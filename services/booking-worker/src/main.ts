import {
  ConfigError,
  createClosers,
  createLog,
  errorSummary,
  inTime,
  logCrashes,
  requireNode,
} from '@ticket-line/shared'
import { readConfig, type WorkerConfig } from './config.js'
import { startWorker } from './worker.js'

function configOrExit(): WorkerConfig {
  try {
    requireNode()
    return readConfig(process.env)
  } catch (error) {
    console.error(`booking-worker cannot start: ${errorSummary(error)}`)
    process.exit(1)
  }
}

const config = configOrExit()
const log = createLog('booking-worker', config.logLevel)
logCrashes(log)
const closers = createClosers((name, error) =>
  log.warn({ err: error, part: name }, 'a part did not close well'),
)

async function stop(signal: string): Promise<void> {
  log.info({ signal }, 'stopping: finishing the jobs at hand')
  // A server that does not answer, or a statement that takes long, must not keep the process from ending.
  const closed = await inTime(closers.closeAll(), config.shutdownGraceMs)
  if (!closed) log.warn('the shutdown grace is over: open connections are cut')
  log.info('stopped')
  process.exit(0)
}
/** Ends a process that must not go on. */
async function refuse(message: string): Promise<void> {
  log.fatal(message)
  await inTime(closers.closeAll(), config.shutdownGraceMs)
  process.exit(1)
}
process.on('SIGTERM', (signal) => void stop(signal))
process.on('SIGINT', (signal) => void stop(signal))

try {
  const { port } = await startWorker(config, log, closers, (message) => void refuse(message))
  log.info({ port, lines: config.layout.lines, maxOpenLines: config.maxOpenLines }, 'ready')
} catch (error) {
  log.fatal(
    { err: error },
    error instanceof ConfigError ? error.message : 'the worker could not start',
  )
  await closers.closeAll()
  process.exit(1)
}
