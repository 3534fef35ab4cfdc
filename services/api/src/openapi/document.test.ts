import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { documentedRoutes } from '../app.js'
import { problemSchema } from '../http/problem.js'
import { createOpenApiDocument } from './document.js'

it('stands in docs/openapi.json as the code describes itself (renew it with `pnpm --filter @ticket-line/api openapi`)', () => {
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
  paths: Record<string, Record<string, { responses: Record<string, ShownResponse> }>>
}

it('shows the body of each problem that a call can answer', () => {
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
