import { readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const fileOf = (name: string) => new URL(`../dist/${name}`, import.meta.url)
const textOf = (name: string) => readFileSync(fileOf(name), 'utf8')

/** The scripts that a page loads: those of the HTML file, and what they import. */
function scriptsOf(page: string, isFollowed: (statement: string) => boolean): Set<string> {
  const found = new Set<string>()
  const visit = (name: string): void => {
    if (found.has(name)) return
    found.add(name)
    for (const [statement, imported = ''] of textOf(name).matchAll(
      /(?:\bfrom|\bimport\(?)\s*[`'"]\.\/([\w-]+\.js)[`'"]/g,
    ))
      if (isFollowed(statement)) visit(`assets/${imported}`)
  }
  for (const [, name = ''] of textOf(page).matchAll(/="\/(assets\/[\w-]+\.js)"/g)) visit(name)
  return found
}

const everything = () => true
const atOnce = (statement: string) => !statement.includes('import(')
const brotliBytesOf = (names: Set<string>): number =>
  [...names].reduce((sum, name) => sum + statSync(fileOf(`${name}.br`)).size, 0)

describe('the built pages', () => {
  it('load at most 60 kB of compressed JavaScript on the page of an event', () => {
    const scripts = scriptsOf('event.html', everything)
    expect(scripts.size).toBeGreaterThan(1)
    expect(brotliBytesOf(scripts)).toBeLessThanOrEqual(60_000)
  })

  it('load the chart in the box office only, and not before it is shown', () => {
    const has = (scripts: Set<string>) => [...scripts].some((name) => name.includes('/chart-'))
    expect(has(scriptsOf('box-office.html', everything))).toBe(true)
    expect(has(scriptsOf('box-office.html', atOnce))).toBe(false)
    expect(has(scriptsOf('event.html', everything))).toBe(false)
  })

  it.each([
    ['home.html', 1],
    ['event.html', 1],
    ['box-office.html', 2],
  ])(
    'paint a heading before any script runs, and say that they need JavaScript: %s',
    (page, styleSheets) => {
      const html = textOf(page)
      expect(html.match(/<link rel="stylesheet"/g)).toHaveLength(styleSheets)
      expect(html).toMatch(/<h1>[^<]+<\/h1>/)
      expect(html).toContain('<noscript>')
      // Any other script would delay the first paint.
      expect(html).not.toMatch(/<script(?! type="module")/)
    },
  )
})
