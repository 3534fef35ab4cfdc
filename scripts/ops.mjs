/**
 * `npm run ops -- <command>`: runs the operators' tool (services/ops) in a clone. It uses the stack
 * that `npm start` runs in this folder, or DATABASE_URL and REDIS_URL.
 */
import { spawnSync } from 'node:child_process'
import { fromRoot } from '../tools/dev-stack/files.mjs'
import { namedServers, withDotEnv } from '../tools/dev-stack/settings.mjs'
import { runningStack } from '../tools/dev-stack/stack.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'
import { ensureToolchain } from '../tools/dev-stack/toolchain.mjs'

/** The exit code if the tool itself fails. 1 would mean that it found something. */
const failed = 4

runMain(async () => {
  // The bootstrap's output goes to stderr: stdout is for the report, which a program may read.
  const bootstrap = spawnSync(process.execPath, [fromRoot('scripts/bootstrap.mjs')], {
    stdio: ['ignore', 2, 2],
  })
  if (bootstrap.status !== 0) {
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
