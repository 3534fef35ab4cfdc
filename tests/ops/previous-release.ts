import { findCommit } from '../stack/commit-build.ts'

/**
 * The build from which a rolling upgrade starts. Nothing is released yet, so it is the last commit
 * before the current migrations.
 */
const PREVIOUS_RELEASE = '0214ed17ac89e95b6cbed1fb95758bd79e4b900a'

/**
 * Finds the commit to upgrade from. `UPGRADE_FROM` can name another one.
 *
 * @returns `undefined` if the history lacks the commit (a shallow clone, an archive)
 */
export function previousCommit(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findCommit(env['UPGRADE_FROM'] || PREVIOUS_RELEASE)
}
