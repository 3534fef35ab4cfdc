/** `npm run herd` and `npm run herd:events`: see tests/herd. What stands behind `--` goes to the program. */

import { fromRoot } from '../tools/dev-stack/paths.mjs'
import { runVisible } from '../tools/dev-stack/run.mjs'
import { runMain } from '../tools/dev-stack/say.mjs'
import { bootstrap } from './bootstrap.mjs'

runMain(async () => {
  const { node, env } = await bootstrap()
  // The child shares this terminal: Ctrl-C reaches it directly, and it ends by itself.
  process.on('SIGINT', () => {})
  const [program = 'main', ...args] = process.argv.slice(2)
  process.exitCode = await runVisible(node, [fromRoot(`tests/herd/${program}.ts`), ...args], {
    env,
  })
})
