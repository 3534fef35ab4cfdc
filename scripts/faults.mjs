/** `npm run faults` and `npm run faults:mutants`: see tests/faults. What stands behind `--` goes there. */

import { fromRoot } from '../tools/dev-stack/paths.mjs'
import { runVisible } from '../tools/dev-stack/run.mjs'
import { runMain } from '../tools/dev-stack/say.mjs'
import { bootstrap } from './bootstrap.mjs'

runMain(async () => {
  const { node, env } = await bootstrap()
  // The child shares this terminal: Ctrl-C reaches it directly, and it ends by itself.
  process.on('SIGINT', () => {})
  const [script = 'main', ...args] = process.argv.slice(2)
  process.exitCode = await runVisible(node, [fromRoot('tests/faults', `${script}.ts`), ...args], {
    env,
  })
})
