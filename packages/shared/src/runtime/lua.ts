import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

/** A Lua script that Redis runs. */
export interface LuaScript {
  lua: string
  /** Undefined if each call passes the number of its keys first. */
  numberOfKeys: number | undefined
}

const INCLUDE = /^--- @include "([\w/-]+)"$/gm

/**
 * Reads a script with the files that it includes. They are named relative to its folder.
 *
 * The legend at the head of a script names its keys. `KEYS[1] …` stands for any number of keys.
 *
 * @throws Error if a file is missing, or if the script uses a key that its legend does not name
 */
export function readScript(file: URL): LuaScript {
  const read = (included: URL): string => readFileSync(included, 'utf8')
  const source = read(file)
  const legend = source.slice(0, source.indexOf(']]\n') + 1)
  const keysIn = (text: string): number =>
    Math.max(0, ...[...text.matchAll(/\bKEYS\[(\d+)\]/g)].map(([, index]) => Number(index)))
  const numberOfKeys = keysIn(legend)
  if (keysIn(source) > numberOfKeys) throw new Error(`the legend of ${file} lacks a key`)
  return {
    lua: source.replace(INCLUDE, (_, name: string) => read(new URL(`${name}.lua`, file))),
    numberOfKeys: legend.includes('KEYS[1] …') ? undefined : numberOfKeys,
  }
}

/**
 * Registers a script on a connection.
 *
 * @param name the name of the script on the connection
 * @returns a function that runs the script with its keys and then its arguments
 */
export function defineScript(
  redis: Redis,
  name: string,
  { lua, numberOfKeys }: LuaScript,
): (...args: (string | number)[]) => Promise<unknown> {
  redis.defineCommand(name, numberOfKeys === undefined ? { lua } : { numberOfKeys, lua })
  const run = (
    redis as unknown as Record<string, (...args: (string | number)[]) => Promise<unknown>>
  )[name]
  return (run as (...args: (string | number)[]) => Promise<unknown>).bind(redis)
}
