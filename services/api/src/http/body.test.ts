import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { countMembers, MAX_BODY_BYTES, readBody } from './body.js'
import type { AppEnv } from './env.js'
import { respondError } from './problem.js'
import { sendJson } from './reply.js'
import { eventIdSchema, userIdSchema } from './schemas.js'

const schema = z.strictObject({ eventId: eventIdSchema, userId: userIdSchema.optional() })
const app = new Hono<AppEnv>()
app.onError((error, c) => respondError(c, error))
app.post('/', async (c) => sendJson(c, 200, await readBody(c, schema)))

async function post(body: NonNullable<RequestInit['body']>, headers: Record<string, string> = {}) {
  const all = { 'content-type': 'application/json', ...headers }
  const response = await app.request('/', {
    method: 'POST',
    body,
    headers: all,
    duplex: 'half',
  } as RequestInit)
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
  return { status: response.status, body: (await response.json()) as any }
}

describe('readBody', () => {
  it.each([
    ['{"eventId":1}', { eventId: 1 }],
    [' {"eventId" : 1.0, "userId":"ada"}\n', { eventId: 1, userId: 'ada' }],
    ['{"eventId":9007199254740991}', { eventId: 9007199254740991 }],
    ['{"eventId":1,"userId":"\\ud83c\\udf9f"}', { eventId: 1, userId: '🎟' }],
  ])('accepts %s', async (body, expected) => {
    expect(await post(body)).toEqual({ status: 200, body: expected })
  })

  it.each([
    ['', ''],
    ['{', ''],
    ['[]', ''],
    ['null', ''],
    ['"text"', ''],
    ['1', ''],
    ['{}', '/eventId'],
    ['{"eventId":null}', '/eventId'],
    ['{"eventId":"1"}', '/eventId'],
    ['{"eventId":true}', '/eventId'],
    ['{"eventId":0}', '/eventId'],
    ['{"eventId":-1}', '/eventId'],
    ['{"eventId":1.5}', '/eventId'],
    ['{"eventId":9007199254740992}', '/eventId'],
    ['{"eventId":1e400}', '/eventId'],
    ['{"eventId":NaN}', ''],
    ['{"eventId":[1]}', '/eventId'],
    ['{"eventId":1,"userId":""}', '/userId'],
    ['{"eventId":1,"userId":null}', '/userId'],
    ['{"eventId":1,"userId":"a\\u0000b"}', '/userId'],
    ['{"eventId":1,"userId":"\\ud800"}', '/userId'],
    [`{"eventId":1,"userId":"${'x'.repeat(129)}"}`, '/userId'],
    ['{"eventId":1,"more":1}', '/more'],
    ['{"eventId":1,"a/b~c":1}', '/a~1b~0c'],
    ['{"eventId":1,"__proto__":{"userId":"eve"}}', '/__proto__'],
    ['{"eventId":1,"constructor":1}', '/constructor'],
    ['{"eventId":1,"eventId":2}', ''],
    [`{"eventId":${'['.repeat(5000)}${']'.repeat(5000)}}`, '/eventId'],
  ])('refuses %s with the pointer "%s"', async (body, pointer) => {
    const answer = await post(body)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    expect(answer.body.errors).toContainEqual({ pointer, detail: expect.any(String) })
  })

  it('reports a missing member', async () => {
    expect((await post('{}')).body.errors).toEqual([{ pointer: '/eventId', detail: 'is required' }])
  })

  it('refuses bytes that are not UTF-8', async () => {
    const bytes = Buffer.from('{"eventId":1,"userId":"\xff"}', 'latin1')
    expect(await post(bytes)).toMatchObject({ status: 400 })
  })

  it('limits the number of errors in a response', async () => {
    const members = Array.from({ length: 1000 }, (_, n) => `"m${n}":1`).join(',')
    expect((await post(`{${members}}`)).body.errors).toHaveLength(20)
  })

  it.each([
    'application/json; charset=utf-8',
    'Application/JSON;charset="UTF-8"',
    'application/json; charset=utf8; version=1',
    'application/json;odata=verbose',
    'application/json;',
  ])('accepts the media type "%s"', async (type) => {
    expect((await post('{"eventId":1}', { 'content-type': type })).status).toBe(200)
  })

  it.each([
    'text/plain',
    'application/jsonp',
    'application/json; charset=latin1',
    'application/json; version=1; charset="utf-16"',
    'application/json; charset=utf-8859',
    'application/x-www-form-urlencoded',
    '',
  ])('refuses the media type "%s"', async (type) => {
    expect(await post('{"eventId":1}', { 'content-type': type })).toMatchObject({
      status: 415,
      body: { code: 'unsupported_media_type' },
    })
  })

  it('refuses a content encoding', async () => {
    expect((await post('{"eventId":1}', { 'content-encoding': 'gzip' })).status).toBe(415)
  })

  it('accepts 16 KiB, and refuses one byte more before it checks the media type', async () => {
    const fits = `{"eventId":1}${' '.repeat(MAX_BODY_BYTES - 13)}`
    expect((await post(fits)).status).toBe(200)
    expect(await post(`${fits} `, { 'content-type': 'text/plain' })).toMatchObject({
      status: 413,
      body: { code: 'payload_too_large' },
    })
  })

  it('refuses an announced length that is too large', async () => {
    expect((await post('{"eventId":1}', { 'content-length': '16385' })).status).toBe(413)
  })

  it('stops reading an endless body', async () => {
    let sent = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++
        controller.enqueue(new Uint8Array(1024).fill(32))
      },
    })
    expect((await post(endless)).status).toBe(413)
    expect(sent).toBeLessThan(30)
  })
})

it.each([
  ['{}', 0],
  ['{"a":1}', 1],
  ['{"a":1,"a":2}', 2],
  ['{"a":{"b":1,"c":[{"d":2}]},"e":"x:y"}', 2],
  ['{"a\\"b:":"{","c\\\\":1}', 2],
  ['{"__proto__":1}', 1],
])('counts the members of the outermost object: %s has %i', (json, count) => {
  expect(countMembers(json)).toBe(count)
})

describe('readBody with a form', () => {
  const name = z.strictObject({ name: z.string().optional() })
  const own = new Hono<AppEnv>()
  own.onError((error, c) => respondError(c, error))
  own.patch('/', async (c) => sendJson(c, 200, await readBody(c, name, { mergePatch: true })))
  own.post('/', async (c) => sendJson(c, 200, await readBody(c, name, { optional: true })))

  it.each([
    ['application/json', 200],
    ['application/merge-patch+json', 200],
    ['Application/Merge-Patch+JSON; charset=utf-8', 200],
    ['application/merge-patch+json; charset=latin1', 415],
    ['application/json-patch+json', 415],
    ['text/plain', 415],
  ])('takes a merge patch as %s with status %i', async (type, status) => {
    const init = { method: 'PATCH', body: '{"name":"x"}', headers: { 'content-type': type } }
    const response = await own.request('/', init)
    expect(response.status).toBe(status)
    expect(response.headers.get('accept-patch')).toBe(
      status === 415 ? 'application/merge-patch+json, application/json' : null,
    )
  })

  it('takes a request without a body and a media type for an empty object', async () => {
    const response = await own.request('/', { method: 'POST' })
    expect([response.status, await response.json()]).toEqual([200, {}])
  })

  it.each([
    [undefined, 'application/json', 400],
    ['', 'application/json', 400],
    ['{}', undefined, 415],
    ['{"name":"x"}', 'application/json', 200],
  ])('answers an optional body %j of the type %s with %i', async (body, type, status) => {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    const init: RequestInit = { method: 'POST', headers }
    // Text would bring a media type of its own.
    if (body !== undefined) init.body = new TextEncoder().encode(body)
    expect((await own.request('/', init)).status).toBe(status)
  })

  it('takes a merge patch only for a PATCH', async () => {
    const headers = { 'content-type': 'application/merge-patch+json' }
    expect((await app.request('/', { method: 'POST', body: '{}', headers })).status).toBe(415)
  })
})
