/**
 * Preloaded into a service with `node --import`. It adds the number of milliseconds in the file
 * `CLOCK_OFFSET_FILE` to the wall clock of the service, and rereads the file while the service
 * runs. Timers and `performance.now()` are not affected, as when NTP or an operator sets the clock
 * of a machine.
 */
import { readFileSync } from 'node:fs'

const READ_EVERY_MS = 100

const RealDate = Date
const file = /** @type {string} */ (process.env['CLOCK_OFFSET_FILE'])
let offsetMs = 0

function followFile() {
  offsetMs = Number(readFileSync(file, 'utf8'))
  setTimeout(followFile, READ_EVERY_MS).unref()
}

class SteppedDate extends RealDate {
  /** @param {...any} args */
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offsetMs)
    else super(.../** @type {[number]} */ (args))
  }

  static now() {
    return RealDate.now() + offsetMs
  }
}

followFile()
globalThis.Date = /** @type {DateConstructor} */ (/** @type {unknown} */ (SteppedDate))
