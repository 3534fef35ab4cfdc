import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { UserError } from './terminal.mjs'

/**
 * The commands that are running. This process ends them when it exits.
 *
 * @type {Set<import('node:child_process').ChildProcess>}
 */
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill()
})

/**
 * Runs a command until it ends and returns what it printed on stdout.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, input?: string, uid?: number, gid?: number,
 *   timeoutMs?: number, signal?: AbortSignal }} [options]
 * @returns {Promise<string>}
 * @throws {UserError} with the command and its last output, if it cannot start or does not end with
 * code 0
 */
export function run(command, args, { input, timeoutMs, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...options,
      timeout: timeoutMs,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    running.add(child)
    let stdout = ''
    let all = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
      all += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      all += text
    })
    // A command that ends without reading its input closes the pipe. The error of the pipe says
    // less than the exit code of the command.
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
    const shown = [path.basename(command), ...args].join(' ').slice(0, 200)
    child.on('error', (error) => reject(new UserError(`Cannot run \`${shown}\`: ${error.message}`)))
    child.on('close', (code, signal) => {
      running.delete(child)
      if (code === 0) return resolve(stdout)
      const tail = all.trimEnd().split('\n').slice(-25).join('\n')
      reject(new UserError(`\`${shown}\` ended with ${signal ?? `code ${code}`}:\n${tail}`))
    })
  })
}

/**
 * Runs a command in this terminal and returns its exit code (130 after an interrupt).
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
      reject(new UserError(`Cannot run ${path.basename(command)}: ${error.message}`)),
    )
    child.on('close', (code, signal) => resolve(code ?? (signal ? 130 : 1)))
  })
}

/**
 * Finds an executable.
 *
 * @param {string} name
 * @param {string} [searchPath] default: PATH
 * @returns {string | undefined} its path
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

/** Probes whether a command can be run: true if it ends with code 0 in time. */
export function works(
  /** @type {string} */ command,
  /** @type {string[]} */ args,
  timeoutMs = 5_000,
) {
  return spawnSync(command, args, { stdio: 'ignore', timeout: timeoutMs }).status === 0
}
