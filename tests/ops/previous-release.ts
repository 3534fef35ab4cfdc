import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fromRoot } from '../../scripts/lib/paths.mjs'
import { run } from '../../scripts/lib/run.mjs'

/** While there is one migration: the oldest build that this one promises to get along with. */
const BASELINE = 'f618ac9889ea8ef6cced64a63c69654d68b2bfbc'

/**
 * The commit before the latest migration came, whose worker has to live with the schema that came with it. `UPGRADE_FROM`
 * names another one.
 * @returns `undefined` where the history is not at hand (a shallow clone, an archive)
 */
export async function previousCommit(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  if (env['UPGRADE_FROM']) return env['UPGRADE_FROM']
  const journal = JSON.parse(readFileSync(fromRoot('packages/db/migrations/meta/_journal.json'), 'utf8'))
  if (journal.entries.length < 2) return known(BASELINE)
  const latest = `packages/db/migrations/${journal.entries.at(-1).tag}.sql`
  const added = await git('log', '--diff-filter=A', '--format=%H', '-1', '--', latest).catch(() => '')
  return added === '' ? undefined : known(`${added}^`)
}

const git = async (...args: string[]): Promise<string> => (await run('git', args, { cwd: fromRoot() })).trim()

const known = (commit: string): Promise<string | undefined> =>
  git('rev-parse', '--verify', '--quiet', `${commit}^{commit}`).catch(() => undefined)

/** Builds the worker of that commit in `folder` and gives the script that starts it. */
export async function buildWorkerOf(commit: string, folder: string): Promise<string> {
  const archive = path.join(folder, 'source.tar')
  await run('git', ['archive', '--output', archive, commit], { cwd: fromRoot() })
  await run('tar', ['-xf', archive, '-C', folder])
  const filter = ['--filter', '@ticket-line/booking-worker...']
  await run('pnpm', ['install', '--frozen-lockfile', '--prefer-offline', ...filter], { cwd: folder })
  await run('pnpm', [...filter, 'run', 'build'], { cwd: folder })
  return path.join(folder, 'services/booking-worker/dist/main.js')
}
