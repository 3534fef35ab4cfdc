import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RequestOptions } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

interface Example {
  name: string
  method: string
  path: string
  body: unknown
}

/** These need an id or a token from the response of another call. */
const NEEDS_ANOTHER_RESPONSE = [
  'GET /jobs/{jobId}',
  'POST /token/refresh',
  'POST /logout',
  '/webhooks/{id}',
  '/api-keys/{id}',
]
/** These need an event with holds, or one that nobody has booked. The demo event is neither. */
const NEEDS_ANOTHER_EVENT = { 'POST /extend': 409, 'DELETE /events/{eventId}': 409 }

let system: System
let examples: Example[]
beforeAll(async () => {
  system = await startSystem()
  const token = await system.token('root', 'admin')
  // The event that `npm start` creates.
  await system.api.post('/initialize', { eventId: 1001, totalTickets: 100 }, { token })
  examples = await readExamples()
})
afterAll(() => system?.stop())

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document has many shapes
type Json = any

/** The calls as Swagger UI fills them in: each parameter and body with its example. */
async function readExamples(): Promise<Example[]> {
  const document: Json = (await system.api.get('/openapi.json')).body
  const resolve = (named: Json) =>
    named?.$ref === undefined
      ? named
      : (named.$ref as string)
          .split('/')
          .slice(1)
          .reduce((part, name) => part[name], document)
  function exampleOf(named: Json): unknown {
    const schema = resolve(named)
    const example = named?.example ?? schema?.example ?? schema?.examples?.[0]
    if (example !== undefined || schema?.properties === undefined) return example
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, exampleOf(property)]),
    )
  }
  return Object.entries(document.paths).flatMap(([template, operations]: [string, Json]) =>
    Object.entries(operations).map(([verb, operation]: [string, Json]) => {
      const parameters = (operation.parameters ?? []).map(resolve).map((parameter: Json) => ({
        ...parameter,
        value: parameter.example ?? exampleOf(parameter.schema),
      }))
      const query = new URLSearchParams()
      let path = template
      for (const { in: place, name, value } of parameters) {
        if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(String(value)))
        if (place === 'query' && value !== undefined) query.set(name, String(value))
      }
      const content = operation.requestBody?.content['application/json']
      const example = content?.example ?? Object.values<Json>(content?.examples ?? {})[0]?.value
      return {
        name: `${verb.toUpperCase()} ${template}`,
        method: verb.toUpperCase(),
        path: query.size > 0 ? `${path}?${query}` : path,
        body: content && (example ?? exampleOf(content.schema)),
      }
    }),
  )
}

describe('the examples of /docs', () => {
  it('accepts the examples of /docs in order with the demo event', async () => {
    const admin = await system.token('root', 'admin')
    const statuses: Record<string, number> = {}
    let token: string | undefined
    for (const { name, method, path, body } of examples) {
      if (NEEDS_ANOTHER_RESPONSE.some((other) => name.includes(other))) continue
      // The demo event is the admin's.
      const isForStaff = /^\/users|^\/initialize|^\/extend|^\/events\/1001(?!\/me|\/stream)/.test(
        path,
      )
      const options: RequestOptions = {}
      if (isForStaff) options.token = admin
      else if (token !== undefined) options.token = token
      const answer = await system.api.request(method, path, body, options)
      if (answer.body?.token !== undefined) token = answer.body.token
      statuses[name] = answer.status
    }
    expect(Object.keys(statuses).length).toBeGreaterThan(15)
    const failed = Object.entries(statuses).filter(([, status]) => status >= 400)
    expect(Object.fromEntries(failed)).toEqual(NEEDS_ANOTHER_EVENT)
  })
})
