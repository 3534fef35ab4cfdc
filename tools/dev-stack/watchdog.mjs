/**
 * Stops the children of a process that was killed (SIGKILL, a crash) and could not stop them
 * itself.
 *
 * The parent writes `+ <pid> <stop signal>` for each child that it starts and `- <pid>` for each
 * that has ended. When the parent dies, the system closes the pipe. The watchdog then stops the
 * children on the list.
 */
import { createInterface } from 'node:readline'

/** How long the children have to end before they get SIGKILL. */
const graceMs = 8_000
/** @type {Map<number, NodeJS.Signals>} */
const children = new Map()

/** @param {number} pid @param {NodeJS.Signals | 0} signal @returns {boolean} whether it exists */
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
  if (sign === '+') children.set(Number(pid), /** @type {NodeJS.Signals} */ (signal))
  else children.delete(Number(pid))
}

for (const [pid, signal] of children) {
  send(pid, signal)
  // A process that was stopped with SIGSTOP handles the signal only when it continues.
  send(pid, 'SIGCONT')
}
const deadline = Date.now() + graceMs
let left = [...children.keys()]
while (left.length > 0 && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 50))
  left = left.filter((pid) => send(pid, 0))
}
for (const pid of left) {
  // Its process group, if it leads one, and then the process alone.
  send(-pid, 'SIGKILL')
  send(pid, 'SIGKILL')
}
