/**
 * Loaded before a service (`node --import`). The wall clock of the service is off by the number of
 * milliseconds in the file that `CLOCK_OFFSET_FILE` names, and follows the file while the service
 * runs. Timers and `performance.now()` stay as they are, as when NTP or an operator sets the clock of
 * a machine.
 */
import { readFileSync } from 'node:fs'

const READ_EVERY_MS = 100

const RealDate = Date
const file = /** @type {string} */ (process.env['CLOCK_OFFSET_FILE'])
let offsetMs = 0

function readOffset() {
  offsetMs = Number(readFileSync(file, 'utf8'))
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

readOffset()
setInterval(readOffset, READ_EVERY_MS).unref()
globalThis.Date = /** @type {DateConstructor} */ (/** @type {unknown} */ (SteppedDate))
