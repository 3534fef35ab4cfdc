import {
  ConfigError,
  createClosers,
  createLog,
  errorSummary,
  inTime,
  logCrashes,
  requireNode,
} from '@ticket-line/shared'
import { type ApiConfig, readConfig } from './config.js'

/** How long the remaining parts may take to close after the grace of the requests, ms. */
const CLOSE_MS = 1000

function configOrExit(): ApiConfig {
  try {
    requireNode()
    return readConfig(process.env)
  } catch (error) {
    console.error(`api cannot start: ${errorSummary(error)}`)
    process.exit(1)
  }
}

const config = configOrExit()
const log = createLog('api', config.logLevel)
logCrashes(log)
const closers = createClosers((name, error) =>
  log.warn({ err: error, part: name }, 'a part did not close well'),
)

async function stop(signal: string): Promise<void> {
  log.info({ signal }, 'stopping: finishing the requests at hand')
  // Requests have the whole grace. The parts that close after them have `CLOSE_MS` more.
  const closed = await inTime(closers.closeAll(), config.shutdownGraceMs + CLOSE_MS)
  if (!closed) log.warn('the shutdown grace is over: open connections are cut')
  log.info('stopped')
  process.exit(0)
}
/** Ends a process that must not go on. */
async function refuse(message: string): Promise<void> {
  log.fatal(message)
  await closers.closeAll()
  process.exit(1)
}
process.on('SIGTERM', (signal) => void stop(signal))
process.on('SIGINT', (signal) => void stop(signal))

try {
  // Loading everything takes a second, so it happens after the settings were found to be usable.
  const { startApi } = await import('./start-api.js')
  const { port } = await startApi(config, log, closers, (message) => void refuse(message))
  log.info({ port, lines: config.layout.lines }, 'listening')
} catch (error) {
  log.fatal(
    { err: error },
    error instanceof ConfigError ? error.message : 'the api could not start',
  )
  await closers.closeAll()
  process.exit(1)
}
