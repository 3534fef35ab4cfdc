/** `npm run bench`: installs Node, dependencies and the build if they are missing, then measures. */
import { fileURLToPath } from 'node:url'
import { bootstrap } from '../../scripts/bootstrap.mjs'
import { runVisible } from '../../tools/dev-stack/run.mjs'
import { runMain } from '../../tools/dev-stack/say.mjs'

runMain(async () => {
  const { node, env } = await bootstrap()
  const bench = fileURLToPath(new URL('bench.ts', import.meta.url))
  process.exitCode = await runVisible(node, [bench, ...process.argv.slice(2)], { env })
})
