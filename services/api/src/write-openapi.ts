/** `npm run openapi`: writes `docs/openapi.json`. */
import { writeFileSync } from 'node:fs'
import { documentedRoutes } from './app.js'
import { createOpenApiDocument } from './openapi/document.js'

const file = new URL('../../../docs/openapi.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(createOpenApiDocument(documentedRoutes()), undefined, 2)}\n`)
