import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { breaksOf, type OpenApiDocument } from './document-breaks.ts'

const read = (file: string): OpenApiDocument => JSON.parse(readFileSync(fromRoot(file), 'utf8'))

it('breaks no client of the released OpenAPI document (see tests/README.md if it has to)', () => {
  const released = read('tests/openapi/released.json')
  expect(breaksOf(released, read('docs/openapi.json'))).toEqual([])
})

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: object) => ({ content: { 'application/json': { schema } } })

const small = {
  paths: {
    '/events': {
      get: {
        operationId: 'listEvents',
        tags: ['Events'],
        security: [{}, { token: [] }],
        parameters: [
          { $ref: '#/components/parameters/Limit' },
          { name: 'state', in: 'query', explode: false, schema: { type: 'array', items: {} } },
        ],
        responses: {
          200: { headers: { ETag: {} }, ...json(ref('Event')) },
          404: json(ref('Problem')),
        },
      },
      post: {
        operationId: 'createEvent',
        tags: ['Events'],
        security: [{ token: [] }, { key: ['write'] }],
        requestBody: { required: false, ...json(ref('NewEvent')) },
        responses: { 201: json(ref('Event')) },
      },
    },
  },
  webhooks: {
    changes: { post: { operationId: 'receive', requestBody: json(ref('Message')), responses: {} } },
  },
  components: {
    parameters: {
      Limit: { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 100 } },
    },
    schemas: {
      NewEvent: {
        type: 'object',
        properties: {
          size: { type: 'integer' },
          mode: { type: 'string', enum: ['on', 'off'] },
          name: { type: ['string', 'null'] },
        },
        required: ['size'],
        additionalProperties: false,
      },
      Event: {
        type: 'object',
        properties: {
          id: { type: 'integer', format: 'int64' },
          state: { type: 'string', enum: ['open', 'closed'] },
          body: { anyOf: [ref('Place'), { type: 'null' }] },
        },
        required: ['id'],
      },
      Place: { type: 'object' },
      Problem: { type: 'object', properties: { code: ref('ErrorCode') } },
      ErrorCode: { type: 'string', enum: ['busy'] },
      Message: { oneOf: [ref('Event'), ref('Problem')], discriminator: { propertyName: 'type' } },
    },
  },
}

/** Where the parts of the small document are. */
const PLACES: Record<string, readonly string[]> = {
  get: ['paths', '/events', 'get'],
  post: ['paths', '/events', 'post'],
  limit: ['components', 'parameters', 'Limit'],
  changes: ['webhooks', 'changes'],
}

/**
 * Compares the small document with a changed copy.
 *
 * @param path a key of `PLACES` or the name of a schema, and keys in it, separated by spaces
 * @param value the new value; undefined to delete it
 */
function change(path: string, value: unknown): string[] {
  const [place = '', ...keys] = path.split(' ')
  const whole = [...(PLACES[place] ?? ['components', 'schemas', place]), ...keys]
  const last = whole.pop() ?? ''
  const changed = structuredClone(small)
  let part = changed as unknown as Record<string, unknown>
  for (const key of whole) part = part[key] as Record<string, unknown>
  part[last] = value
  const compared = JSON.parse(JSON.stringify(changed)) as OpenApiDocument
  return breaksOf(small as unknown as OpenApiDocument, compared)
}

const { get, post } = small.paths['/events']

describe('the comparison of two OpenAPI documents', () => {
  it('finds nothing in the same document', () => {
    expect(change('get', get)).toEqual([])
  })

  it.each<[string, string, unknown]>([
    ['a new call', 'get', { ...get, put: post }],
    ['an optional parameter', 'get parameters', [...get.parameters, { name: 'q', in: 'query' }]],
    ['a wider limit', 'limit schema maximum', 1000],
    ['an optional member of a request', 'NewEvent properties url', {}],
    ['a member of a response', 'Event properties url', {}],
    ['a value that clients may send', 'NewEvent properties mode enum', ['on', 'off', 'auto']],
    ['a code of an error', 'ErrorCode enum', ['busy', 'unknown']],
    ['another way to authenticate', 'get security', [...get.security, { key: [] }]],
    ['a call without authentication', 'post security', []],
    ['an error', 'post responses 409', json(ref('Problem'))],
    ['the end of an error', 'get responses 404', undefined],
    ['a schema', 'More', {}],
  ])('accepts %s', (_, path, value) => {
    expect(change(path, value)).toEqual([])
  })

  it.each<[string, string, unknown]>([
    ['GET /events is gone', 'get', undefined],
    ['GET /events is called getEvents instead of listEvents', 'get operationId', 'getEvents'],
    ['GET /events is in the group Lists instead of Events', 'get tags', ['Lists']],
    ['GET /events no longer accepts {}', 'get security', [{ token: [] }]],
    ['POST /events no longer accepts {"token":[]}', 'post security', [{ key: ['write'] }]],
    ['POST /events no longer accepts {"key":["write"]}', 'post security', [{ key: ['admin'] }]],
    ['GET /events: the parameter query state is gone', 'get parameters', [get.parameters[0]]],
    [
      'GET /events: the parameter query state is written in another way',
      'get parameters 1 explode',
      true,
    ],
    ['GET /events: the parameter query limit is required now', 'limit required', true],
    ['GET /events: the parameter query limit has the maximum 50 now', 'limit schema maximum', 50],
    [
      'GET /events: the parameter query q is required now',
      'get parameters',
      [...get.parameters, { name: 'q', in: 'query', required: true }],
    ],
    ['POST /events: the body is required now', 'post requestBody required', true],
    ['POST /events: the body is no application/json', 'post requestBody content', {}],
    ['NewEvent.name is gone', 'NewEvent properties name', undefined],
    ['NewEvent.mode is required now', 'NewEvent required', ['size', 'mode']],
    ['NewEvent.mode no longer accepts "off"', 'NewEvent properties mode enum', ['on']],
    ['NewEvent.name no longer accepts null', 'NewEvent properties name type', 'string'],
    ['NewEvent.name has the maxLength 10 now', 'NewEvent properties name maxLength', 10],
    ['GET /events: the response 200 is gone', 'get responses 200', undefined],
    ['GET /events: the response 200 has no ETag', 'get responses 200 headers', {}],
    ['Event.id may be absent now', 'Event required', []],
    ['Event.id can be string now', 'Event properties id type', 'string'],
    ['Event.id has the format int32 instead of int64', 'Event properties id format', 'int32'],
    ['Event.state can be "paused" now', 'Event properties state enum', ['open', 'paused']],
    ['Event.state can have any value now', 'Event properties state enum', undefined],
    ['Event.body can be Problem now', 'Event properties body anyOf 1', ref('Problem')],
    ['Problem.code is gone', 'Problem properties', {}],
    ['the webhook POST changes is gone', 'changes', undefined],
    ['Message is discriminated by kind, not type', 'Message discriminator propertyName', 'kind'],
    ['Message can be NewEvent now', 'Message oneOf 0', ref('NewEvent')],
    [
      'GET /events: the response 200 is called Place instead of Event',
      'get responses 200',
      json(ref('Place')),
    ],
    ['the schema Place is gone', 'Place', undefined],
  ])('finds that %s', (sentence, path, value) => {
    expect(change(path, value)).toContain(sentence)
  })
})
