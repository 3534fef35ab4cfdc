import { findCommit } from '../stack/commit-build.ts'

/**
 * The build from which a rolling upgrade starts. Nothing is released yet, so it is the last commit
 * before the current migrations.
 */
const PREVIOUS_RELEASE = '13f9efa9c292b9a4a2998c8a26b5024aea0d4e77'

/**
 * A build that decides the jobs of this release, but does not record accepted jobs, and does not
 * know how to tell that Redis has lost some.
 */
const WITHOUT_RECORDS = '8ed22198239527b1ca227b9660fd971535ab59ce'

/**
 * Finds the commit to upgrade from. `UPGRADE_FROM` can name another one.
 *
 * @returns `undefined` if the history lacks the commit (a shallow clone, an archive)
 */
export function previousCommit(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findCommit(env['UPGRADE_FROM'] || PREVIOUS_RELEASE)
}

/** @returns the commit without records of accepted jobs; `undefined` if the history lacks it */
export function commitWithoutRecords(): Promise<string | undefined> {
  return findCommit(WITHOUT_RECORDS)
}
