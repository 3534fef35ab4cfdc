/** `pnpm run openapi`: writes docs/openapi.json as this build describes itself. */
import { writeFileSync } from 'node:fs'
import { createOpenApiDocument } from './document.js'
import { documentedRoutes } from './documented-routes.js'

const file = new URL('../../../../docs/openapi.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(createOpenApiDocument(documentedRoutes()), undefined, 2)}\n`)
