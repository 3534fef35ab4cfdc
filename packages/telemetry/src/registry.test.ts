import { VERSION } from '@ticket-line/shared'
import { expect, it } from 'vitest'
import { createRegistry } from './registry.js'

it.each([
  ['the commit of the image', '0c16a9b', '0c16a9b'],
  ['that the commit is unknown', undefined, 'unknown'],
])('reports the service, its version and %s in build_info', async (_name, commit, shown) => {
  const text = await createRegistry('api', commit).metrics()
  expect(text).toContain(
    `ticket_line_build_info{service="api",version="${VERSION}",commit="${shown}",node="${process.versions.node}"} 1`,
  )
})
