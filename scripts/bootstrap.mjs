/**
 * `node scripts/bootstrap.mjs` prepares a bare clone: tools, dependencies, build. All scripts do
 * this first, so it is rarely called on its own. Like them it is plain JavaScript without
 * dependencies and runs on Node 20.
 */
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'

runMain(bootstrap)
