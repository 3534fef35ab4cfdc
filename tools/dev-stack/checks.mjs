import { run } from './commands.mjs'
import { fromRoot, root } from './files.mjs'
import { say, step, UserError } from './terminal.mjs'

const bin = (/** @type {string} */ name) => fromRoot('node_modules/.bin', name)

/**
 * The checks of the repository that are not tests, by the names that `npm run check` takes: what
 * each is called, and its command.
 *
 * @type {Record<string, [title: string, command: string, args: string[]]>}
 */
const checks = {
  lint: ['Lint and format', bin('biome'), ['check', '--error-on-warnings', '--colors=off', '.']],
  types: ['Types of tests and scripts', bin('tsc'), ['-p', 'tests/tsconfig.json']],
  migrations: [
    'Migrations match the schema',
    'pnpm',
    ['-C', 'packages/db', 'run', 'check:migrations'],
  ],
  openapi: [
    'Lint of the OpenAPI document',
    bin('redocly'),
    ['lint', 'docs/openapi.json', '--extends=recommended-strict'],
  ],
}

const quiet = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }

/**
 * Runs checks, even if one fails, so that one run shows everything.
 *
 * @param {import('./toolchain.mjs').Toolchain} toolchain
 * @param {string[]} [names] default: all
 * @returns {Promise<string[]>} titles of the checks that failed
 * @throws {UserError} if there is no check of a name
 */
export async function runChecks({ env }, names = Object.keys(checks)) {
  const chosen = names.map((name) => {
    const check = checks[name]
    if (check !== undefined) return check
    throw new UserError(
      `There is no check "${name}". The checks are: ${Object.keys(checks).join(', ')}`,
    )
  })
  const failed = []
  for (const [title, command, args] of chosen) {
    try {
      await step(title, () => run(command, args, { cwd: root, env: { ...env, ...quiet } }))
    } catch (error) {
      say(/** @type {Error} */ (error).message)
      failed.push(title)
    }
  }
  return failed
}
