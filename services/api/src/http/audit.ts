import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** Names of the actions that are logged for audits. */
export type AuditAction =
  | 'acted_for_other'
  | 'event_initialized'
  | 'password_changed'
  | 'role_changed'
  | 'user_disabled'
  | 'user_enabled'

/**
 * Logs who did what to whom. `LOG_LEVEL` does not hide these lines (except `silent`), because an
 * audit must not depend on how much else is logged. Call it after the action has happened.
 */
export function audit(
  c: Context<AppEnv>,
  action: AuditAction,
  details: Record<string, unknown>,
): void {
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
