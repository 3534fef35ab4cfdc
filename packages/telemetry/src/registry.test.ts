import { VERSION } from '@ticket-line/shared'
import { expect, it } from 'vitest'
import { createRegistry } from './registry.js'

it('reports the service and its version in build_info', async () => {
  const text = await createRegistry('api').metrics()
  expect(text).toContain(
    `ticket_line_build_info{service="api",version="${VERSION}",node="${process.versions.node}"} 1`,
  )
})
