/**
 * `npm run ops -- <command>`: the operators' tool (services/ops) from a clone. It looks at the stack that `npm start` runs in this folder,
 * or at DATABASE_URL and REDIS_URL.
 */
import { spawnSync } from 'node:child_process'
import { fromRoot } from '../tools/dev-stack/paths.mjs'
import { runMain } from '../tools/dev-stack/say.mjs'
import { namedServers, withDotEnv } from '../tools/dev-stack/settings.mjs'
import { runningStack } from '../tools/dev-stack/stack.mjs'
import { ensureToolchain } from '../tools/dev-stack/toolchain.mjs'

/** The exit code if the tool itself failed. 1 would mean that it found something. */
const failed = 4

runMain(async () => {
  // What it prints goes to stderr: stdout is for the report alone, which may be read by a program.
  const ready = spawnSync(process.execPath, [fromRoot('scripts/bootstrap.mjs')], {
    stdio: ['ignore', 2, 2],
  })
  if (ready.status !== 0) {
    process.stderr.write('The tool could not be built.\n')
    process.exitCode = failed
    return
  }
  const toolchain = await ensureToolchain()
  const env = withDotEnv(process.env)
  const named = namedServers(env)
  const stack = runningStack()
  const tool = spawnSync(
    toolchain.node,
    ['--enable-source-maps', fromRoot('services/ops/dist/main.js'), ...process.argv.slice(2)],
    {
      stdio: 'inherit',
      env: {
        ...env,
        PATH: toolchain.env['PATH'],
        DATABASE_URL:
          env['DATABASE_URL'] || env['PG_URL'] || (named.database ? '' : stack?.databaseUrl),
        REDIS_URL: env['REDIS_URL'] || (named.redis ? '' : stack?.redisUrl),
      },
    },
  )
  process.exitCode = tool.status ?? failed
})
