import { existsSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import { dataDir, readText } from './files.mjs'
import { removeStalePostgres } from './postgres-data.mjs'
import { recordedServer } from './processes.mjs'
import { removeStaleRedis } from './redis.mjs'
import { claimFolder, clearLeftovers } from './stack.mjs'
import { say, UserError } from './terminal.mjs'

/**
 * What `npm start` makes. DATA_DIR may be a folder with other things in it, so nothing else is
 * deleted.
 */
const ours = /^(postgres|redis|logs|stack\.json|[a-z-]+-(secret|password|key))$/

/**
 * Deletes the local data, or with the word "redis" only the data of Redis. On a terminal it asks
 * first, unless `--yes` is given.
 *
 * @param {string[]} args
 */
export async function reset(args) {
  const words = args.filter((word) => word !== '--yes')
  if (words.some((word) => word !== 'redis'))
    throw new UserError('Use `npm run reset`, or `npm run reset -- redis`.')
  if (!existsSync(dataDir)) return say('There is nothing to delete.')
  const names = readdirSync(dataDir).filter((name) =>
    words.length > 0 ? name === 'redis' : ours.test(name),
  )
  if (names.length === 0) return say('There is nothing to delete.')
  claimFolder()
  say(`In ${dataDir}: ${names.join(', ')}`)
  if (process.stdin.isTTY && process.stdout.isTTY && !args.includes('--yes')) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout })
    const answer = await terminal.question('Delete this for good? [y/N] ')
    terminal.close()
    if (!/^y(es)?$/i.test(answer.trim())) return say('Nothing was deleted.')
  }
  await stopLeftovers()
  for (const name of names) rmSync(path.join(dataDir, name), { recursive: true, force: true })
  say('Deleted.')
}

/** Stops services and servers that a killed `npm start` left running. */
async function stopLeftovers() {
  await clearLeftovers()
  const postgres = path.join(dataDir, 'postgres')
  const redis = path.join(dataDir, 'redis')
  const data = path.join(postgres, 'data')
  if (existsSync(data))
    await removeStalePostgres(data, recordedServer(path.join(postgres, 'server.pid')))
  await removeStaleRedis(redis, readText(path.join(redis, 'password')))
}
