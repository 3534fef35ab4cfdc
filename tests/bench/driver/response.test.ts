import { expect, it } from 'vitest'
import { readAnswer } from './response.ts'

it('reads a response with Content-Length', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nX: y\r\n\r\n{"message":1}'
  expect(readAnswer(text)).toEqual({ status: 200, body: '{"message":1}' })
})

it('reads a response with chunked encoding', () => {
  const text =
    'HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n'
  expect(readAnswer(text)).toEqual({ status: 409, body: 'abcde' })
})

it.each([
  'HTTP/1.1 200 OK\r\nContent-Le',
  'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"mess',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
])('returns undefined for the incomplete response %j', (text) => {
  expect(readAnswer(text)).toBeUndefined()
})
