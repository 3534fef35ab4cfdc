/**
 * The limits that refuse requests, as metrics name them. `docs/operations.md` has the setting of
 * each one. The first group is answered with 429, the second one with 503 `busy`.
 */
export const LIMIT_NAMES = [
  'requests',
  'polls',
  'key',
  'sign_in',
  'token_refresh',
  'sign_out',
  'dashboard',
  'unknown_path',
  'user_download',
  'client_streams',

  'process_requests',
  'process_waits',
  'process_streams',
  'process_downloads',
  'password_checks',
  'line_depth',
  'redis_memory',
] as const

export type LimitName = (typeof LIMIT_NAMES)[number]
