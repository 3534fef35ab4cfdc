/**
 * Runs a command with the toolchain on PATH: pnpm, which turbo asks for, may stand in `.tools/` alone.
 *
 *     node scripts/with-tools.mjs pnpm -C packages/db run generate --name add-venues
 */

import { root } from '../tools/dev-stack/paths.mjs'
import { runVisible } from '../tools/dev-stack/run.mjs'
import { Plain, runMain } from '../tools/dev-stack/say.mjs'
import { bootstrap } from './bootstrap.mjs'

runMain(async () => {
  const [command, ...args] = process.argv.slice(2)
  if (command === undefined)
    throw new Plain('Say what to run: node scripts/with-tools.mjs pnpm --version')
  const { env } = await bootstrap()
  process.exitCode = await runVisible(command, args, { cwd: root, env })
})
