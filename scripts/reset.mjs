/**
 * `npm run reset`: deletes what `npm start` keeps in `.data/`, to start afresh. `npm run reset --
 * redis` deletes the data of Redis alone. On a terminal it asks first, unless `--yes` is given.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import { dataDir } from '../tools/dev-stack/paths.mjs'
import { removeStalePostgres } from '../tools/dev-stack/postgres-data.mjs'
import { recordedServer } from '../tools/dev-stack/processes.mjs'
import { removeStale } from '../tools/dev-stack/redis.mjs'
import { Plain, runMain, say } from '../tools/dev-stack/say.mjs'
import { readText } from '../tools/dev-stack/server.mjs'
import { claimFolder, clearLeftovers } from '../tools/dev-stack/stack.mjs'

/**
 * DATA_DIR may be a folder that contains other things, so only what `npm start` makes is deleted.
 */
const ours = /^(postgres|redis|logs|stack\.json|[a-z-]+-(secret|password|key))$/

runMain(async () => {
  const words = process.argv.slice(2).filter((word) => word !== '--yes')
  const unknown = words.find((word) => word !== 'redis')
  if (unknown !== undefined) throw new Plain('Use `npm run reset`, or `npm run reset -- redis`.')
  if (!existsSync(dataDir)) return say('There is nothing to delete.')
  const names = readdirSync(dataDir).filter((name) =>
    words.length > 0 ? name === 'redis' : ours.test(name),
  )
  if (names.length === 0) return say('There is nothing to delete.')
  claimFolder()
  say(`In ${dataDir}: ${names.join(', ')}`)
  if (process.stdin.isTTY && process.stdout.isTTY && !process.argv.includes('--yes')) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout })
    const answer = await terminal.question('Delete this for good? [y/N] ')
    terminal.close()
    if (!/^y(es)?$/i.test(answer.trim())) return say('Nothing was deleted.')
  }
  await stopLeftovers()
  for (const name of names) rmSync(path.join(dataDir, name), { recursive: true, force: true })
  say('Deleted.')
})

/** Stops services and servers that a killed `npm start` left running on the data. */
async function stopLeftovers() {
  await clearLeftovers()
  const postgres = path.join(dataDir, 'postgres')
  const redis = path.join(dataDir, 'redis')
  const data = path.join(postgres, 'data')
  if (existsSync(data))
    await removeStalePostgres(data, recordedServer(path.join(postgres, 'server.pid')))
  await removeStale(redis, readText(path.join(redis, 'password')))
}
