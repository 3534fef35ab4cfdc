/**
 * Runs a command with the toolchain on PATH, since Node and pnpm may be installed in `.tools/`
 * only.
 *
 *     node scripts/with-tools.mjs pnpm exec biome check --write .
 */
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runVisible } from '../tools/dev-stack/commands.mjs'
import { root } from '../tools/dev-stack/files.mjs'
import { runMain, UserError } from '../tools/dev-stack/terminal.mjs'

runMain(async () => {
  const [command, ...args] = process.argv.slice(2)
  if (command === undefined)
    throw new UserError('Usage: node scripts/with-tools.mjs <command> [arguments]')
  const { env } = await bootstrap()
  process.exitCode = await runVisible(command, args, { cwd: root, env })
})
