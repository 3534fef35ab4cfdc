/**
 * Preloaded into a service with `node --import`. It adds the number of milliseconds in the file
 * `CLOCK_OFFSET_FILE` to the wall clock of the service, and rereads the file while the service
 * runs. If the file has `stopped`, the wall clock does not go on. Timers and `performance.now()`
 * are not affected, as when NTP or an operator sets the clock of a machine.
 */
import { readFileSync } from 'node:fs'

const READ_EVERY_MS = 100

const RealDate = Date
const file = /** @type {string} */ (process.env['CLOCK_OFFSET_FILE'])
let offsetMs = 0
/** @type {number | undefined} */
let stoppedAtMs

function followFile() {
  const text = readFileSync(file, 'utf8')
  if (text === 'stopped') stoppedAtMs ??= now()
  else {
    stoppedAtMs = undefined
    offsetMs = Number(text)
  }
  setTimeout(followFile, READ_EVERY_MS).unref()
}

function now() {
  return stoppedAtMs ?? RealDate.now() + offsetMs
}

class SteppedDate extends RealDate {
  /** @param {...any} args */
  constructor(...args) {
    if (args.length === 0) super(now())
    else super(.../** @type {[number]} */ (args))
  }

  static now() {
    return now()
  }
}

followFile()
globalThis.Date = /** @type {DateConstructor} */ (/** @type {unknown} */ (SteppedDate))
