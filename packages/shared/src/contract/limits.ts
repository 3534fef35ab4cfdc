/** Largest event id: the largest integer that a JSON number represents exactly. */
export const MAX_EVENT_ID = Number.MAX_SAFE_INTEGER

/** Maximum size of an event, in tickets. */
export const MAX_TOTAL_TICKETS = 1_000_000

/** Longest and shortest length of a hold, in seconds. */
export const HOLD_SECONDS = { min: 5, max: 604_800 } as const
/** Longest and shortest length of an offer, in seconds. */
export const OFFER_SECONDS = { min: 5, max: 2_592_000 } as const
/** Range of the limit for a hold with all its extensions, in seconds. */
export const MAX_HOLD_SECONDS = { min: 5, max: 5_184_000 } as const
/** How far from now one extension may move the deadline of a hold, in seconds. */
export const EXTEND_SECONDS = { min: 1, max: 604_800 } as const

/** How long a lapsed hold can still be confirmed, if a ticket is free. */
export const LATE_CONFIRM_MS = 24 * 3_600_000

/** Maximum number of changes that one settle adds to the log of its event. */
export const MAX_LOG_ROWS_PER_SETTLE = 256

/** Maximum length of the name of an event, and of its venue, in characters. */
export const MAX_EVENT_NAME_LENGTH = 200
/** Maximum lengths of its URL and of the reason of its cancellation, in characters. */
export const MAX_EVENT_URL_LENGTH = 2000
export const MAX_REASON_LENGTH = 500

/** Maximum length of a user id, in code points. */
export const MAX_USER_ID_LENGTH = 128

/** Maximum number of commands in one job. */
export const MAX_COMMANDS_PER_JOB = 256

/** How long an idempotency key is valid, from when the first request with it was accepted. */
export const IDEMPOTENCY_KEY_HOURS = 24
export const IDEMPOTENCY_KEY_MS = IDEMPOTENCY_KEY_HOURS * 3_600_000

/**
 * The shortest time for which outcomes can be kept, in hours. An outcome must not be pruned before
 * its idempotency key, because a repeated request must find the outcome that its key names.
 */
export const MIN_RETENTION_HOURS = IDEMPOTENCY_KEY_HOURS
/** The default time for which outcomes are kept, in hours. */
export const DEFAULT_RETENTION_HOURS = 48
/** The longest time for which outcomes can be kept, in hours: ten years. */
export const MAX_RETENTION_HOURS = 87_600

/** How long the changes of events are kept, in days. */
export const CHANGES_RETENTION_DAYS = { min: 1, default: 90, max: 36_500 } as const

/**
 * Sequence numbers in one block of a waiting list. `waitlist_blocks` has the number of entries that
 * are waiting in each block. A position is then the sum of a few hundred small rows and a short
 * scan. The number is part of the stored data: `waitlist_blocks.block` is `sequence / 1024`.
 */
export const WAITLIST_BLOCK_SIZE = 1024

/** Maximum number of organizers of one event, besides its owner. */
export const MAX_ORGANIZERS_PER_EVENT = 50

/** Maximum number of webhooks of one user. */
export const MAX_WEBHOOKS_PER_USER = 20
/** Maximum number of events in the `eventIds` of a webhook. */
export const MAX_WEBHOOK_EVENTS = 100
/** Maximum length of the description of a webhook, in characters. */
export const MAX_WEBHOOK_DESCRIPTION_LENGTH = 200
/** Maximum number of changes that one replay sends again. */
export const MAX_REPLAYED_CHANGES = 10_000
/** How long deliveries are also signed with the secret before the last rotation, in hours. */
export const SECRET_OVERLAP_HOURS = 24

/** Maximum number of API keys of one user. */
export const MAX_KEYS_PER_USER = 100
/** Maximum number of events in the `eventIds` of a key. */
export const MAX_KEY_EVENTS = 100
/** Maximum length of the name of a key, in characters. */
export const MAX_KEY_NAME_LENGTH = 100
/** The rate limit of a key that was created without one. */
export const DEFAULT_KEY_RATE_LIMIT = { requests: 6000, windowSeconds: 60 } as const
/** Longest window of the rate limit of a key, in seconds. */
export const MAX_KEY_WINDOW_SECONDS = 86_400
/** How long the secret before the last rotation of a key still works, in hours. */
export const KEY_OVERLAP_HOURS = 24
