import { readFileSync } from 'node:fs'
import { fromRoot } from '../../scripts/lib/paths.mjs'
import { commitThatAdded, findCommit } from '../stack/commit-build.ts'

/** While there is one migration: the oldest build that this one promises to get along with. */
const BASELINE = 'f618ac9889ea8ef6cced64a63c69654d68b2bfbc'

/**
 * Finds the commit before the latest migration. Its worker must be able to serve on the schema that the migration made.
 * `UPGRADE_FROM` names another commit.
 *
 * @returns `undefined` if the history does not hold the commit (a shallow clone, an archive)
 */
export async function previousCommit(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  if (env['UPGRADE_FROM']) return env['UPGRADE_FROM']
  const journal = JSON.parse(readFileSync(fromRoot('packages/db/migrations/meta/_journal.json'), 'utf8'))
  if (journal.entries.length < 2) return findCommit(BASELINE)
  const added = await commitThatAdded(`packages/db/migrations/${journal.entries.at(-1).tag}.sql`)
  return added === undefined ? undefined : findCommit(`${added}^`)
}
