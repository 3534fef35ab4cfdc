import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** Actions that are logged for audits. */
export type AuditAction =
  | 'acted_for_other'
  | 'api_key_created'
  | 'api_key_deleted'
  | 'api_key_rotated'
  | 'event_canceled'
  | 'event_changed'
  | 'event_created'
  | 'event_deleted'
  | 'event_initialized'
  | 'event_organizers_changed'
  | 'event_owner_changed'
  | 'hold_extended'
  | 'password_changed'
  | 'role_changed'
  | 'ticket_granted'
  | 'user_disabled'
  | 'user_enabled'
  | 'webhook_changed'
  | 'webhook_created'
  | 'webhook_deleted'
  | 'webhook_replayed'
  | 'webhook_secret_rotated'
  | 'webhook_tested'

/**
 * Logs an action with its actor. Call it after the action has taken effect. Only `LOG_LEVEL=silent`
 * hides these lines, because an audit must not depend on how much else is logged.
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
    ...(principal?.key !== undefined && { actorKey: principal.key.id }),
    address: c.get('clientAddress'),
    requestId: c.get('requestId'),
    ...details,
  }
  const auditLog = log.isLevelEnabled('info') ? log : log.child({}, { level: 'info' })
  auditLog.info(entry, 'audit')
}
