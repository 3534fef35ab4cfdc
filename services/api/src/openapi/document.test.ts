import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { createOpenApiDocument } from './document.js'
import { documentedRoutes } from './documented-routes.js'

it('stands in docs/openapi.json as the code describes itself (renew it with `pnpm --filter @ticket-line/api openapi`)', () => {
  const written = readFileSync(new URL('../../../../docs/openapi.json', import.meta.url), 'utf8')
  expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(createOpenApiDocument(documentedRoutes()))))
})
