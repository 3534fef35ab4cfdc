/**
 * `npm run bench`, `bench:quick`, `checkout`, `faults`, `faults:mutants`, `fuzz`, `herd`,
 * `herd:events`, `promotion-mail` and `screenshots`: builds what is missing and runs the program of
 * that name. Arguments after `--` go to the program.
 */
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runVisible } from '../tools/dev-stack/commands.mjs'
import { fromRoot } from '../tools/dev-stack/files.mjs'
import { runMain, UserError } from '../tools/dev-stack/terminal.mjs'

/** @type {Record<string, string>} */
const programs = {
  bench: 'tests/bench/bench.ts',
  'bench:quick': 'tests/bench/quick.ts',
  checkout: 'examples/checkout/main.ts',
  faults: 'tests/faults/main.ts',
  'faults:mutants': 'tests/faults/mutants.ts',
  fuzz: 'tests/security/fuzz/main.ts',
  herd: 'tests/herd/main.ts',
  'herd:events': 'tests/herd/events.ts',
  'promotion-mail': 'examples/promotion-mail/main.ts',
  screenshots: 'tests/browser/pages/screenshots.ts',
}

runMain(async () => {
  const [name = '', ...args] = process.argv.slice(2)
  const program = programs[name]
  if (program === undefined)
    throw new UserError(`Usage: node scripts/run.mjs ${Object.keys(programs).join('|')}`)
  const { node, env } = await bootstrap()
  // Ctrl-C reaches the program directly, because it runs in this terminal. The program then ends by
  // itself.
  process.on('SIGINT', () => {})
  process.exitCode = await runVisible(node, [fromRoot(program), ...args], { env })
})
