import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { Plain } from './say.mjs'

/**
 * Commands under way: when this process exits before them, they end with it.
 *
 * @type {Set<import('node:child_process').ChildProcess>}
 */
const underWay = new Set()
process.on('exit', () => {
  for (const child of underWay) child.kill()
})

/**
 * Runs a command to its end and returns what it printed on stdout.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, input?: string, uid?: number, gid?: number, timeoutMs?: number, signal?: AbortSignal }} [options]
 * @returns {Promise<string>}
 * @throws {Plain} naming the command and the last lines it printed, when it cannot start or ends with another code than 0
 */
export function run(command, args, { input, timeoutMs, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...options,
      timeout: timeoutMs,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    underWay.add(child)
    let stdout = ''
    let all = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
      all += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      all += text
    })
    // A command that ends without reading its input closes the pipe under us; its exit code tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
    const called = [path.basename(command), ...args].join(' ').slice(0, 200)
    child.on('error', (error) => reject(new Plain(`Cannot run \`${called}\`: ${error.message}`)))
    child.on('close', (code, signal) => {
      underWay.delete(child)
      if (code === 0) return resolve(stdout)
      const tail = all.trimEnd().split('\n').slice(-25).join('\n')
      reject(new Plain(`\`${called}\` ended with ${signal ?? `code ${code}`}:\n${tail}`))
    })
  })
}

/**
 * Runs a command with this terminal as its own and returns its exit code (130 after an interrupt).
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>}
 */
export function runVisible(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: 'inherit' })
    child.on('error', (error) =>
      reject(new Plain(`Cannot run ${path.basename(command)}: ${error.message}`)),
    )
    child.on('close', (code, signal) => resolve(code ?? (signal ? 130 : 1)))
  })
}

/**
 * Where an executable stands on PATH, or undefined.
 *
 * @param {string} name
 * @param {string} [searchPath]
 */
export function which(name, searchPath = process.env['PATH'] ?? '') {
  for (const folder of searchPath.split(path.delimiter)) {
    const file = path.join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {}
  }
  return undefined
}

/** Whether a command runs and ends with 0 within a short time: for probing, never for work. */
export function works(
  /** @type {string} */ command,
  /** @type {string[]} */ args,
  timeoutMs = 5_000,
) {
  return spawnSync(command, args, { stdio: 'ignore', timeout: timeoutMs }).status === 0
}
