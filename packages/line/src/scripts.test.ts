import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readScript } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('../scripts/', import.meta.url))
const read = (name: string) => readScript(new URL(`../scripts/${name}.lua`, import.meta.url))
const scripts = readdirSync(folder)
  .filter((file) => file.endsWith('.lua'))
  .map((file) => file.slice(0, -'.lua'.length))

describe('the Lua scripts of a line', () => {
  it.each(scripts)('%s.lua names every key and argument that it uses in its legend', (name) => {
    const source = readFileSync(`${folder}${name}.lua`, 'utf8')
    const end = source.indexOf(']]\n')
    const [legend, body] = [source.slice(0, end + 1), source.slice(end)]
    const used = (text: string): string[] =>
      [...new Set(text.match(/\b(?:KEYS|ARGV)\[\d+\]/g))].toSorted()

    expect(used(legend)).toEqual(expect.arrayContaining(used(body)))
    expect(body).not.toMatch(/\b(?:KEYS|ARGV)\[\w+\] = /)
  })

  it.each(scripts)('%s.lua includes the files that it asks for', (name) => {
    const { lua } = read(name)

    expect(lua).not.toContain('@include')
    if (lua.includes('now_ms()')) expect(lua).toContain('local function now_ms()')
  })

  it('counts the keys of a script from its legend', () => {
    expect(read('relist-job').numberOfKeys).toBe(9)
    expect(read('measure-lines').numberOfKeys).toBe(1)
  })

  it('fails at the start of a process if a script is missing', () => {
    expect(() => read('no-such-script')).toThrow('no-such-script.lua')
  })
})
