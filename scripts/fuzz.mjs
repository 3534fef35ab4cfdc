/** `npm run fuzz`: see tests/security/fuzz. What stands behind `--` goes to it. */

import { fromRoot } from '../tools/dev-stack/paths.mjs'
import { runVisible } from '../tools/dev-stack/run.mjs'
import { runMain } from '../tools/dev-stack/say.mjs'
import { bootstrap } from './bootstrap.mjs'

runMain(async () => {
  const { node, env } = await bootstrap()
  // The child shares this terminal: Ctrl-C reaches it directly, and it ends by itself.
  process.on('SIGINT', () => {})
  process.exitCode = await runVisible(
    node,
    [fromRoot('tests/security/fuzz/main.ts'), ...process.argv.slice(2)],
    {
      env,
    },
  )
})
