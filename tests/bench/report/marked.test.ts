import { expect, it } from 'vitest'
import { replaceMarked } from './marked.ts'

const page = [
  '# Page',
  '<!-- figures: written by a command -->',
  'old',
  '<!-- /figures -->',
  '- item',
  '  <!-- headline: written by a command -->',
  '- old item',
  '  <!-- /headline -->',
  'end',
].join('\n')

it('replaces the marked part of a page and keeps its marks and the text around them', () => {
  const replaced = replaceMarked(replaceMarked(page, 'figures', 'new\nlines'), 'headline', '- new')

  expect(replaced).toBe(page.replace('old\n', 'new\nlines\n').replace('- old item', '- new'))
})

it('fails if a page has lost the marks of a part', () => {
  expect(() => replaceMarked(page, 'missing', '')).toThrow('has lost its marks')
})
