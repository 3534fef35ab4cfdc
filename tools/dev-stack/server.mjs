import { readFileSync } from 'node:fs'
import { serverTarget, showTarget } from './addresses.mjs'
import { talk } from './net.mjs'
import { Plain } from './say.mjs'

/**
 * A PostgreSQL or Redis that something here uses.
 *
 * @typedef {object} Server
 * @property {string} url
 * @property {string} source where it comes from, for the line that says what was chosen
 * @property {boolean} ours false for one that was given by URL: it is never stopped, and kill and the like throw
 * @property {() => Promise<void>} stop gracefully; nothing of it is left running
 * @property {() => Promise<void>} kill like a power cut: SIGKILL, no chance to write anything
 * @property {() => Promise<void>} restart starts it again, on the same port and data, after stop or kill
 * @property {() => Promise<void>} pause SIGSTOP: connections stay, nobody answers
 * @property {() => Promise<void>} resume
 * @property {() => Promise<void>} ended resolves when it is not running any more, for whatever reason; never for one that was given
 */

/**
 * A server that somebody else runs.
 *
 * @param {{ name: string, variable: string, url: string, defaultPort: number }} given
 * @returns {Promise<Server>}
 * @throws {Plain} when nothing answers there
 */
export async function givenServer({ name, variable, url, defaultPort }) {
  const target = serverTarget(url, defaultPort)
  if (target === undefined) throw new Plain(`${variable} is no URL.`)
  await talk({ ...target, timeoutMs: 3_000 }).catch(() => {
    throw new Plain(
      `${variable} names a ${name} at ${showTarget(target)}, but nothing answers there. ` +
        `Start it, correct ${variable}, or unset it to have one started for you.`,
    )
  })
  const refuse = async () => {
    throw new Error(`${name} was given by ${variable}; it is not ours to kill or restart`)
  }
  const source = `given by ${variable}`
  return {
    url,
    source,
    ours: false,
    ended: () => new Promise(() => {}),
    stop: async () => {},
    kill: refuse,
    restart: refuse,
    pause: refuse,
    resume: refuse,
  }
}

/**
 * A file's text, or '' if there is no such file.
 *
 * @param {string} file
 * @throws {Error} if the file exists and cannot be read: a caller that took it for missing might
 * replace it
 */
export function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const failure = /** @type {NodeJS.ErrnoException} */ (error)
    if (failure.code === 'ENOENT' || failure.code === 'ENOTDIR') return ''
    // The error of reading a folder does not name it.
    failure.path ??= file
    throw failure
  }
}
