import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { talk } from './addresses.mjs'
import { startChild } from './child.mjs'
import { freePort } from './ports.mjs'
import { quoted } from './redis.mjs'
import { bootFirstWorking, redisSources } from './redis-sources.mjs'
import { UserError } from './terminal.mjs'
import { until } from './wait.mjs'

/** @typedef {import('./servers.mjs').Server} Server */

/** @typedef {import('./redis-sources.mjs').RedisSource} RedisSource */

/**
 * Starts a Sentinel on a free port of 127.0.0.1, with its state in `folder`.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {string[]} options.settings lines of sentinel.conf: what it monitors
 * @returns {Promise<Server>}
 * @throws {UserError} if no Redis is available outside of Docker, or if it does not start
 */
export async function startSentinel({ folder, settings }) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const port = await freePort()
  // Sentinel writes its state into its configuration, so it needs a file.
  const file = path.join(folder, 'sentinel.conf')
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${quoted(folder)}`, ...settings]
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })

  const boot = async (/** @type {RedisSource} */ { command, env, cwd = '/' }) => {
    const environment = env === undefined ? {} : { env }
    const args = [file, '--sentinel']
    const child = await startChild({ name: 'Sentinel', command, args, cwd, ...environment })
    const answers = async () =>
      (await talk({ host: '127.0.0.1', port, text: 'PING\r\n' })).includes('PONG')
    const up = await until(async () => !child.running() || (await answers()), {
      timeoutMs: 30_000,
    })
    if (up && child.running()) return child
    await child.stop()
    throw new UserError(`Sentinel did not start:\n${child.tail().slice(-10).join('\n')}`)
  }
  const sources = redisSources(folder, port, 'local')
  const { source, child: first } = await bootFirstWorking(sources, boot)
  let child = first
  return {
    url: `redis://127.0.0.1:${port}`,
    source: source.source,
    ours: true,
    ended: () => child.exited.then(() => {}),
    stop: () => child.stop(),
    kill: () => child.kill(),
    async restart() {
      if (child.running()) throw new Error('Sentinel is still running: stop or kill it first')
      child = await boot(source)
    },
    pause: async () => child.signal('SIGSTOP'),
    resume: async () => child.signal('SIGCONT'),
  }
}
