/** Methods that a route may have. All others share one label in metrics and traces. */
export const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
])

export const OTHER_METHOD = 'other'
