import { expect, it } from 'vitest'
import { acceptsEncoding, prefers, prefersHtml } from './accept.js'

it.each([
  [undefined, false],
  ['*/*', false],
  ['application/json', false],
  ['text/csv', true],
  ['TEXT/CSV', true],
  ['text/*', true],
  ['text/csv, application/json', false],
  ['text/csv, application/json;q=0.9', true],
  ['text/csv;q=0.5, */*;q=0.8', false],
  ['text/csv;q=0', false],
  ['text/csv;q=x, application/json', false],
  ['text/html, text/csv;q=0.9, */*;q=0.1', true],
])('decides whether "Accept: %s" prefers CSV: %s', (accept, expected) => {
  expect(prefers('text/csv', accept)).toBe(expected)
})

it.each([
  [undefined, false],
  ['', false],
  ['*/*', false],
  ['application/json', false],
  ['text/html', true],
  ['text/*', true],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
  ['text/html, */*', true],
  ['application/json, */*', false],
  ['application/json, text/html', false],
  ['application/json, text/html;q=0.9', false],
  ['application/json;q=0.2, text/html;q=0.3', true],
  ['text/html;q=0, */*', false],
  ['text/html;q=0, application/json;q=0', false],
  ['image/png', false],
])('decides whether "Accept: %s" prefers HTML: %s', (accept, expected) => {
  expect(prefersHtml(accept)).toBe(expected)
})

it.each([
  [undefined, false],
  ['', false],
  ['gzip, deflate, br', true],
  ['BR;q=0.1', true],
  ['gzip, br;q=0', false],
  ['gzip, *;q=0.5', true],
  ['*;q=0', false],
  ['br;q=x', false],
  ['brotli', false],
])('decides whether "Accept-Encoding: %s" accepts Brotli: %s', (accept, expected) => {
  expect(acceptsEncoding(accept, 'br')).toBe(expected)
})
