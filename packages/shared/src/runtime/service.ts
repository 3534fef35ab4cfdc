import { type Closers, createClosers } from './closers.js'
import { withDeadline } from './deadline.js'
import { errorSummary } from './describe-error.js'
import { ConfigError, type Env } from './env.js'
import { createLog, type Log, logCrashes } from './log.js'
import { requireNode } from './version.js'

/** A service as its `main.ts` describes it. */
export interface Service<Config extends { logLevel: string }> {
  /** The name in log lines. */
  name: string
  /** The environment of the process. */
  env: Env
  /** @throws ConfigError naming the variable that cannot be used */
  readConfig: (env: Env) => Config
  /**
   * Starts all parts. Each is registered with `closers` when it opens.
   *
   * @param onRefused logs the message and ends the process. Call it if PostgreSQL and Redis no
   * longer belong to the same installation
   * @returns fields for the log line that says that the service is ready
   */
  start: (
    config: Config,
    log: Log,
    closers: Closers,
    onRefused: (message: string) => void,
  ) => Promise<Record<string, unknown>>
  /** How long all closers together may take, ms. Connections that are still open then are cut. */
  closeWithinMs: (config: Config) => number
}

/**
 * Runs a service until SIGTERM or SIGINT. It then closes all parts in reverse order and ends the
 * process with exit code 0. A service that cannot start, or must not go on, ends with code 1.
 */
export async function runService<Config extends { logLevel: string }>(
  service: Service<Config>,
): Promise<void> {
  const config = readConfigOrExit(service)
  const log = createLog(service.name, config.logLevel)
  logCrashes(log)
  const closers = createClosers((part, err) =>
    log.warn({ err, part }, 'a part could not be closed'),
  )

  /** @returns false if the closers did not finish in time */
  function close(): Promise<boolean> {
    // A server that does not answer, or a slow statement, must not keep the process from ending.
    const closed = closers.closeAll().then(() => true)
    return withDeadline(closed, service.closeWithinMs(config), () => false)
  }

  async function stop(signal: string): Promise<void> {
    log.info({ signal }, 'stopping: finishing the current work')
    if (!(await close())) log.warn('the shutdown grace is over: open connections are cut')
    log.info('stopped')
    process.exit(0)
  }

  async function refuse(message: string): Promise<void> {
    log.fatal(message)
    await close()
    process.exit(1)
  }

  process.on('SIGTERM', (signal) => void stop(signal))
  process.on('SIGINT', (signal) => void stop(signal))
  try {
    const fields = await service.start(config, log, closers, (message) => void refuse(message))
    log.info(fields, 'ready')
  } catch (err) {
    log.fatal({ err }, err instanceof ConfigError ? err.message : 'the service could not start')
    await closers.closeAll()
    process.exit(1)
  }
}

function readConfigOrExit<Config extends { logLevel: string }>(service: Service<Config>): Config {
  try {
    requireNode()
    return service.readConfig(service.env)
  } catch (error) {
    console.error(`${service.name} cannot start: ${errorSummary(error)}`)
    process.exit(1)
  }
}
