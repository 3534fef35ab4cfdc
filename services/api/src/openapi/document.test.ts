import { readFileSync } from 'node:fs'
import { type LoggedChange, PROBLEMS } from '@ticket-line/shared'
import { payloadOf, testPayloadOf } from '@ticket-line/webhooks'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { documentedRoutes } from '../app.js'
import { problemSchema } from '../http/problem.js'
import { readRoutingTable } from '../routes.js'
import { createOpenApiDocument } from './document.js'
import { webhookMessageSchema } from './webhook-calls.js'

it('finds docs/openapi.json up to date (if not, run `npm run openapi`)', () => {
  const written = readFileSync(new URL('../../../../docs/openapi.json', import.meta.url), 'utf8')
  expect(JSON.parse(written)).toEqual(
    JSON.parse(JSON.stringify(createOpenApiDocument(documentedRoutes()))),
  )
})

interface Shown {
  $ref?: string
  value?: object
  content?: Record<string, { schema: { $ref?: string }; examples?: Record<string, Shown> }>
}
interface ShownOperation {
  operationId: string
  parameters: object[]
  requestBody?: Shown
  responses: Record<string, Shown>
}
interface ShownDocument {
  paths: Record<string, Record<string, ShownOperation>>
  components: Record<string, Record<string, Shown>>
}

const document = JSON.parse(
  JSON.stringify(createOpenApiDocument(documentedRoutes())),
) as ShownDocument
const operations = Object.values(document.paths).flatMap((path) => Object.values(path))

/** Follows `#/components/responses/Unauthorized`. */
function resolve(part: Shown): Shown {
  const [, , kind = '', name = ''] = part.$ref?.split('/') ?? []
  return part.$ref === undefined ? part : (document.components[kind]?.[name] ?? {})
}

it('gives an example of each problem in the OpenAPI document', () => {
  let shown = 0
  for (const { responses } of operations) {
    for (const [status, response] of Object.entries(responses)) {
      const { examples } = resolve(response).content?.['application/problem+json'] ?? {}
      for (const [code, example] of Object.entries(examples ?? {})) {
        expect(problemSchema.parse(resolve(example).value)).toMatchObject({
          code,
          status: Number(status),
        })
        shown++
      }
    }
  }
  expect(shown).toBeGreaterThan(100)
  const ofNoCall = document.components['schemas']?.['Problem'] as unknown as {
    examples: { code: string }[]
  }
  const shownCodes = [
    ...Object.keys(document.components['examples'] ?? {}),
    ...ofNoCall.examples.map(({ code }) => code),
  ]
  expect(shownCodes.toSorted()).toEqual(Object.keys(PROBLEMS).toSorted())
})

it('names the schema of each JSON body, so that generated clients have names for them', () => {
  const bodies = operations.flatMap(({ requestBody, responses }) => [
    requestBody ?? {},
    ...Object.values(responses).map(resolve),
  ])
  const schemas = bodies.flatMap(({ content = {} }) => content['application/json']?.schema ?? [])
  expect(schemas.length).toBeGreaterThan(100)
  for (const schema of schemas) expect(schema.$ref).toMatch(/^#\/components\/schemas\/\w+$/)
})

it('gives an example of each body of each call, which matches the schema of the call', () => {
  let shown = 0
  for (const { body, docs, responses = {} } of documentedRoutes()) {
    const content = docs && (body ?? docs.optionalBody)
    if (content !== undefined) {
      expect(content.safeParse(exampleOf(content)), docs?.operationId).toMatchObject({
        success: true,
      })
    }
    for (const { schema, examples } of docs === undefined ? [] : Object.values(responses)) {
      if (schema === undefined) continue
      for (const example of Object.values(examples ?? { only: exampleOf(schema) })) {
        expect(schema.safeParse(example), docs?.operationId).toMatchObject({ success: true })
        shown++
      }
    }
  }
  expect(shown).toBeGreaterThan(40)
})

function exampleOf(schema: z.ZodType): unknown {
  return z.globalRegistry.get(schema)?.example
}

it('describes the messages that webhooks send', () => {
  const change: LoggedChange = {
    eventId: 1001,
    no: 1025,
    type: 'booking.canceled',
    atMs: 0,
    userId: 'ada',
    sequence: 7,
    actor: null,
    commandId: null,
    data: { standing: 'booked', reason: 'refund' },
  }
  const options = { epoch: 'a restore ago' }
  const bodies = [
    payloadOf([change], { ...options, format: 'single' }),
    payloadOf([change, change], { ...options, format: 'batch' }),
    testPayloadOf('3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f', 0),
  ]
  for (const body of bodies) {
    const sent = JSON.parse(body)
    // The schema drops members that it does not describe.
    expect(webhookMessageSchema.parse(sent)).toEqual(sent)
  }
})

it('finds every call of an installation with all features in docs/openapi.json', async () => {
  const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const calls = (await readRoutingTable())
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    // The document leaves out pages, probes and metrics.
    .filter(
      (call) =>
        !/ \/(e|box-office|assets|docs|admin|openapi\.json|livez|readyz|metrics|\.well-known\/security\.txt)\b/.test(
          call,
        ),
    )
  expect(documented.toSorted()).toEqual(calls.toSorted())
})

it('gives each call of the OpenAPI document a short name of its own', () => {
  const names = operations.map(({ operationId }) => operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) expect(name).toMatch(/^[a-z]+([A-Z][a-z]+){0,3}$/)
})

it('shows numbers, booleans and lists in paths and queries with their types', () => {
  const shown = operations.flatMap(({ parameters }) => parameters)
  const byName = new Map(
    shown.map((parameter) => [(parameter as { name?: string }).name, parameter]),
  )
  expect(byName.get('limit')).toMatchObject({ schema: { type: 'integer', default: 50 } })
  expect(byName.get('mine')).toMatchObject({ schema: { type: 'boolean', default: false } })
  expect(byName.get('state')).toMatchObject({ explode: false, schema: { type: 'array' } })
  expect(document.components['parameters']?.['EventId']).toMatchObject({
    in: 'path',
    required: true,
    schema: { type: 'integer', format: 'int64', minimum: 1 },
  })
})
