import { readFileSync } from 'node:fs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

/** The examples of a page that are in this language, in order. */
export function codeBlocks(page: string, language: string): string[] {
  const text = readFileSync(fromRoot(page), 'utf8')
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))
  return [...blocks].map(([, code = '']) => code)
}
