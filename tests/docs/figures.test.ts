import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

const read = (page: string): string => readFileSync(fromRoot(page), 'utf8')

/** The numbers in what the benchmark command writes between the marks of a part. */
function numbersOf(page: string, part: string): string[] {
  const [, text = ''] = new RegExp(`<!-- ${part}: .*-->\n([^]*?)<!-- /${part} -->`).exec(page) ?? []
  return text.match(/\d[\d,.]*/g) ?? []
}

it('quotes in README.md only figures that are on the benchmark page', () => {
  const readme = read('README.md')
  const page = numbersOf(read('docs/benchmarks/README.md'), 'measured')

  const quoted = ['headline', 'figures'].map((part) => numbersOf(readme, part))

  expect(quoted.map(({ length }) => length > 0)).toEqual([true, true])
  expect(quoted.flat().filter((number) => !page.includes(number))).toEqual([])
})
