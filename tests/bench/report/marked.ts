import { readFileSync, writeFileSync } from 'node:fs'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'

/**
 * Replaces what is between the marks `<!-- NAME: … -->` and `<!-- /NAME -->` of a page. The text
 * around them is written by hand and stays.
 *
 * @param replaced complete lines, without the last line break
 * @throws Error if the page lacks one of the marks
 */
export function replaceMarked(page: string, name: string, replaced: string): string {
  const marks = new RegExp(`^([^]*<!-- ${name}: .*-->\\n)[^]*?^( *<!-- /${name} -->[^]*)$`, 'm')
  const [, before, after] = marks.exec(page) ?? []
  if (before === undefined || after === undefined)
    throw new Error(`The page has lost its marks "<!-- ${name}: … -->" and "<!-- /${name} -->"`)
  return `${before}${replaced}\n${after}`
}

/** Replaces the marked parts of a file of the repository, by name. */
export function writeMarked(file: string, parts: Record<string, string>): void {
  const path = fromRoot(file)
  let page = readFileSync(path, 'utf8')
  for (const [name, replaced] of Object.entries(parts)) page = replaceMarked(page, name, replaced)
  writeFileSync(path, page)
}
