import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { run } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import type { Build, ServiceName } from './processes.ts'

const git = async (...args: string[]): Promise<string> =>
  (await run('git', args, { cwd: fromRoot() })).trim()

/** @returns the full hash of a commit, or `undefined` if the history lacks it (a shallow clone) */
export function findCommit(name: string): Promise<string | undefined> {
  return git('rev-parse', '--verify', '--quiet', `${name}^{commit}`).catch(() => undefined)
}

/**
 * Builds services as they were at a commit, with that commit's dependencies.
 *
 * @param folder an empty folder; the caller removes it
 * @throws Error with the output of the step that failed
 */
export async function buildCommit(
  commit: string,
  folder: string,
  services: ServiceName[],
): Promise<Build> {
  mkdirSync(folder, { recursive: true })
  const archive = path.join(folder, 'source.tar')
  await run('git', ['archive', '--output', archive, commit], { cwd: fromRoot() })
  await run('tar', ['-xf', archive, '-C', folder])
  const filters = services.flatMap((service) => ['--filter', `@ticket-line/${service}...`])
  await run('pnpm', ['install', '--frozen-lockfile', '--prefer-offline', ...filters], {
    cwd: folder,
  })
  await run('pnpm', [...filters, 'run', 'build'], { cwd: folder })
  return {
    script: (service) => path.join(folder, 'services', service, 'dist/main.js'),
    migrateScript: path.join(folder, 'packages/db/dist/migrate.js'),
  }
}
