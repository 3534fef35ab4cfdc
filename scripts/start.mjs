/** `npm start`: from a bare clone to a running system. Ctrl-C stops it. */
import { start } from '../tools/dev-stack/start.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'

runMain(start)
