import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { documentedRoutes } from '../app.js'
import { problemSchema } from '../http/problem.js'
import { readRoutingTable } from '../routes.js'
import { createOpenApiDocument } from './document.js'

it('finds docs/openapi.json up to date (if not, run `npm run openapi`)', () => {
  const written = readFileSync(new URL('../../../../docs/openapi.json', import.meta.url), 'utf8')
  expect(JSON.parse(written)).toEqual(
    JSON.parse(JSON.stringify(createOpenApiDocument(documentedRoutes()))),
  )
})

interface ShownResponse {
  description: string
  content?: { 'application/problem+json'?: { examples: Record<string, { value: object }> } }
}
interface ShownDocument {
  paths: Record<
    string,
    Record<string, { operationId: string; responses: Record<string, ShownResponse> }>
  >
}

it('gives an example of each problem of each call in the OpenAPI document', () => {
  const { paths } = createOpenApiDocument(documentedRoutes()) as ShownDocument
  let shown = 0
  for (const { responses } of Object.values(paths).flatMap((operations) =>
    Object.values(operations),
  )) {
    for (const [status, { description, content }] of Object.entries(responses)) {
      const examples = content?.['application/problem+json']?.examples
      if (examples === undefined) continue
      expect(Object.keys(examples)).toEqual(description.match(/\w+/g))
      for (const [code, { value }] of Object.entries(examples)) {
        expect(problemSchema.parse(value)).toMatchObject({ code, status: Number(status) })
        shown++
      }
    }
  }
  expect(shown).toBeGreaterThan(100)
})

it('finds every call of an installation with all features in docs/openapi.json', async () => {
  const { paths } = createOpenApiDocument(documentedRoutes()) as ShownDocument
  const documented = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const calls = (await readRoutingTable())
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    // Pages, probes and metrics are nothing for clients.
    .filter((call) => !/ \/(docs|admin|openapi\.json|livez|readyz|metrics)\b/.test(call))
  expect(documented.toSorted()).toEqual(calls.toSorted())
})

it('gives each call of the OpenAPI document a short name of its own', () => {
  const { paths } = createOpenApiDocument(documentedRoutes()) as ShownDocument
  const names = Object.values(paths)
    .flatMap((operations) => Object.values(operations))
    .map(({ operationId }) => operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) expect(name).toMatch(/^[a-z]+([A-Z][a-z]+){0,3}$/)
})
