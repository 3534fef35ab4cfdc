/**
 * `node scripts/bootstrap.mjs` prepares a bare clone: tools, dependencies, build. All other scripts
 * begin with this, so you rarely need to run it alone. Like them, it is plain JavaScript without
 * dependencies and runs on Node 20.
 */
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'

runMain(bootstrap)
