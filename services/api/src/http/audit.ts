import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** What people with power over others did, by name. */
export type AuditAction =
  | 'acted_for_other'
  | 'event_initialized'
  | 'password_changed'
  | 'role_changed'
  | 'user_disabled'
  | 'user_enabled'

/**
 * Logs who did what to whom. `LOG_LEVEL` does not hide these lines: who may say what an admin did months
 * ago should not depend on how much else was logged. Call it once the action is known to have happened.
 */
export function audit(c: Context<AppEnv>, action: AuditAction, details: Record<string, unknown>): void {
  const log = c.get('log')
  if (log.level === 'silent') return
  const principal = c.get('principal')
  const entry = {
    audit: action,
    actor: principal?.userId ?? null,
    actorRole: principal?.role ?? null,
    address: c.get('clientAddress'),
    requestId: c.get('requestId'),
    ...details,
  }
  const audible = log.isLevelEnabled('info') ? log : log.child({}, { level: 'info' })
  audible.info(entry, 'audit')
}
