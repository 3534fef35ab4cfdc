/** `npm run fuzz`: see tests/security/fuzz. What stands behind `--` goes to it. */
import { bootstrap } from './bootstrap.mjs'
import { fromRoot } from './lib/paths.mjs'
import { runVisible } from './lib/run.mjs'
import { runMain } from './lib/say.mjs'

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
