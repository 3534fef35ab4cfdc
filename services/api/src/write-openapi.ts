/** `pnpm run openapi`: writes docs/openapi.json as this build describes itself. */
import { writeFileSync } from 'node:fs'
import { createOpenApiDocument } from './openapi/document.js'
import { documentedRoutes } from './openapi/documented-routes.js'

const file = new URL('../../../docs/openapi.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(createOpenApiDocument(documentedRoutes()), undefined, 2)}\n`)
