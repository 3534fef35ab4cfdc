import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

const pages = globSync('{*.md,docs/**/*.md,{examples,services,tests,tools}/**/README.md}', {
  cwd: fromRoot('.'),
  exclude: (name) => name === 'node_modules',
}).sort()
const read = (page: string): string => readFileSync(fromRoot(page), 'utf8')
const scripts = Object.keys(JSON.parse(read('package.json')).scripts)

/** Anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** Relative links of a page that lead nowhere. */
function brokenLinks(page: string): string[] {
  return [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? page : path.join(path.dirname(page), file)
      if (!existsSync(fromRoot(target))) return true
      return anchor !== undefined && !anchorsOf(target).includes(anchor)
    })
}

/** Files and folders of the repository that a page names and that do not exist. */
function missingPaths(page: string): string[] {
  return [
    ...read(page).matchAll(/`((?:examples|packages|services|tests|tools|deploy|docs)\/[\w./-]+)`/g),
  ]
    .map(([, name = '']) => name)
    .filter((name) => !existsSync(fromRoot(name)))
}

/** npm scripts that a page names and that do not exist. */
function missingScripts(page: string): string[] {
  return [...read(page).matchAll(/npm run (?:--silent )?([\w:-]+)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !scripts.includes(name))
}

describe.each(pages)('%s', (page) => {
  it(`links from ${page} only to pages and headings that exist`, () => {
    expect(brokenLinks(page)).toEqual([])
  })

  it(`names in ${page} only files and npm scripts that exist`, () => {
    expect([...missingPaths(page), ...missingScripts(page)]).toEqual([])
  })
})

it('finds the pages of the documentation', () => {
  expect(pages).toContain('README.md')
  expect(pages).toContain('docs/operations.md')
})
