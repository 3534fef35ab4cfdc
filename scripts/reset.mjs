/**
 * `npm run reset`: deletes what `npm start` keeps in `.data/`. `npm run reset -- redis` deletes the
 * data of Redis alone.
 */
import { reset } from '../tools/dev-stack/reset.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'

runMain(() => reset(process.argv.slice(2)))
