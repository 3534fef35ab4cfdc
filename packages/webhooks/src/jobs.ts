/**
 * Name of the BullMQ queue with the work of the notifiers. Its keys are in the first shard of the
 * installation. If Redis loses a job `deliver`, a notifier finds its cursor in PostgreSQL and adds
 * the job again.
 */
export const WEBHOOK_QUEUE = 'webhooks'

/** The data of each kind of job, by the name of the job. */
export interface WebhookJobs {
  /** Sends an endpoint the next changes of an event. The notifier adds it. */
  deliver: { webhookId: string; eventId: number }
  /** Sends an endpoint one test message. The API adds it. */
  test: { webhookId: string; messageId: string }
  /** Sends the changes `from` to `to` of an event again. The API adds it. */
  replay: { webhookId: string; eventId: number; from: number; to: number }
  /**
   * Makes all cursors of an endpoint due, because its URL changed or it was enabled again. The API
   * adds it. If it is lost, the endpoint gets its changes at the next retry.
   */
  resume: { webhookId: string }
}

export type WebhookJobName = keyof WebhookJobs

/** How many completed and how many failed jobs Redis keeps for the dashboard. */
export const WEBHOOK_JOB_OPTIONS = {
  removeOnComplete: { count: 100 },
  removeOnFail: { count: 1000 },
} as const
