/**
 * The program behind watchdog.mjs. Reads "+ pid signal" and "- pid" from stdin; at its end stops all that are left.
 */
import { createInterface } from 'node:readline'

const graceMs = 8_000
/** @type {Map<number, NodeJS.Signals>} */
const guarded = new Map()

/** @param {number} pid @param {NodeJS.Signals | 0} signal @returns {boolean} whether the process was there */
function send(pid, signal) {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [sign, pid, signal] = line.split(' ')
  if (sign === '+') guarded.set(Number(pid), /** @type {NodeJS.Signals} */ (signal))
  else guarded.delete(Number(pid))
}

for (const [pid, signal] of guarded) {
  send(pid, signal)
  // A stopped process (SIGSTOP) hears the signal only once it goes on.
  send(pid, 'SIGCONT')
}
const deadline = Date.now() + graceMs
let left = [...guarded.keys()]
while (left.length > 0 && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 50))
  left = left.filter((pid) => send(pid, 0))
}
for (const pid of left) {
  send(-pid, 'SIGKILL')
  send(pid, 'SIGKILL')
}
