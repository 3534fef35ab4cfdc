import { accountRoutes } from '../accounts/routes.js'
import { userRoutes } from '../accounts/user-routes.js'
import { createRoutes } from '../app.js'
import type { Route } from '../http/route.js'

/**
 * All routes of an installation with local accounts, for their words and schemas alone: nothing stands behind their
 * handlers.
 */
export function documentedRoutes(): Route[] {
  const nothing = {} as never
  return createRoutes({
    ...({} as Parameters<typeof createRoutes>[0]),
    accountRoutes: [...accountRoutes(nothing), ...userRoutes(nothing)],
  })
}
