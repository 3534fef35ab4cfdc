import { findCommit } from '../stack/commit-build.ts'

/**
 * The build that this one replaces in a rolling upgrade. Nothing is released yet, so it is the last
 * commit before the present migrations began.
 */
const PREVIOUS_RELEASE = '0214ed17ac89e95b6cbed1fb95758bd79e4b900a'

/**
 * Finds the commit to upgrade from. `UPGRADE_FROM` names another one.
 *
 * @returns `undefined` if the history does not hold the commit (a shallow clone, an archive)
 */
export function previousCommit(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findCommit(env['UPGRADE_FROM'] || PREVIOUS_RELEASE)
}
