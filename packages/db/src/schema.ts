import {
  CHANGE_TYPES,
  COMMAND_TYPES,
  type JobPayload,
  type LoggedChangeData,
  type Outcome,
  ROLES,
  SCOPES,
  WAITLIST_BLOCK_SIZE,
} from '@ticket-line/shared'
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgSequence,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'

const at = (name: string) => timestamp(name, { withTimezone: true, precision: 6 })
const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const eventId = () => bigint('event_id', { mode: 'number' }).notNull()
/** Text that is compared byte by byte, so that the order of ids does not depend on a collation. */
const id = customType<{ data: string }>({ dataType: () => 'text collate "C"' })

/** The members of an outcome that are stored in `commands.data`, the most frequent first. */
export const DATA_MEMBERS = [
  'expiresAtMs',
  'event',
  'opensAtMs',
  'committed',
] as const satisfies (keyof Outcome)[]
export type StoredOutcomeData = Pick<Outcome, (typeof DATA_MEMBERS)[number]>

/** Local accounts. Users of another issuer need no row. */
export const users = pgTable(
  'users',
  {
    userId: id('user_id').primaryKey(),
    /** argon2id, PHC string. */
    passwordHash: text('password_hash').notNull(),
    role: text('role', { enum: ROLES }).notNull().default('user'),
    disabled: boolean('disabled').notNull().default(false),
    /**
     * A change of password increases the generation, and so does disabling the account. Tokens and
     * cookies contain the generation in which they were issued. Those of an earlier generation are
     * refused.
     */
    generation: integer('generation').notNull().default(0),
    /** When the generation was last increased. Tokens without a generation must be younger. */
    generationSince: at('generation_since'),
    /**
     * The sign-in that changed the password. It stays valid although it belongs to an earlier
     * generation.
     */
    keptFamilyId: uuid('kept_family_id'),
    /** The last change of role, disabled or generation; null if there was none. */
    privilegesChangedAt: at('privileges_changed_at'),
    createdAt: at('created_at').notNull().defaultNow(),
  },
  (table) => [
    check(
      'users_role_known',
      sql`${table.role} IN (${sql.raw(ROLES.map((role) => `'${role}'`).join(', '))})`,
    ),
    index('users_privileges_changed_at')
      .on(table.privilegesChangedAt)
      .where(sql`${table.privilegesChangedAt} IS NOT NULL`),
    // Finds the active admins among any number of users.
    index('users_active_admins')
      .on(table.userId)
      .where(sql`${table.role} = 'admin' AND NOT ${table.disabled}`),
  ],
)

/**
 * One-time refresh tokens. All tokens of one sign-in are a family, which has one row. Each use
 * replaces the hash. A token of the family with another hash has been used before. Using it again
 * ends the family.
 */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    /** SHA-256 of the token, base64url. The database alone is not enough to sign in. */
    tokenHash: id('token_hash').primaryKey(),
    familyId: uuid('family_id').notNull(),
    userId: id('user_id').notNull(),
    expiresAt: at('expires_at').notNull(),
    createdAt: at('created_at').notNull().defaultNow(),
  },
  (table) => [
    index('refresh_tokens_family').on(table.familyId),
    index('refresh_tokens_user').on(table.userId),
    index('refresh_tokens_expires_at').on(table.expiresAt),
  ],
)

/**
 * API keys. A deleted key keeps its row for a while. The processes that know the key learn from the
 * row that it was deleted, and the row explains the id of the key in the change log.
 */
export const apiKeys = pgTable(
  'api_keys',
  {
    /** The part of the key that is not secret. */
    keyId: id('key_id').primaryKey(),
    /** The person who created it, and for whom it acts. */
    userId: id('user_id').notNull(),
    /** True if another issuer signed the token of this person. */
    external: boolean('external').notNull(),
    /**
     * The role of the person at the creation or the last rotation. It counts if they have no local
     * account.
     */
    role: text('role', { enum: ROLES }).notNull(),
    name: text('name').notNull(),
    scopes: text('scopes', { enum: SCOPES }).array().notNull(),
    /** Null for all events of the person. */
    eventIds: bigint('event_ids', { mode: 'number' }).array(),
    /** Requests in a window, and the length of the window. Both null for the default. */
    rateRequests: integer('rate_requests'),
    rateWindowS: integer('rate_window_s'),
    /** SHA-256 of the whole key. The database alone is not enough to use it. */
    keyHash: bytes('key_hash').notNull(),
    /** The hash before the last rotation, and until when it is accepted. */
    previousKeyHash: bytes('previous_key_hash'),
    previousUntil: at('previous_until'),
    expiresAt: at('expires_at'),
    createdAt: at('created_at').notNull().defaultNow(),
    /** When it was created, last rotated or deleted. */
    changedAt: at('changed_at').notNull().defaultNow(),
    /** When it was last used, to about a minute; null if it was never used. */
    lastUsedAt: at('last_used_at'),
    deletedAt: at('deleted_at'),
  },
  (table) => [
    index('api_keys_of_user')
      .on(table.userId, table.createdAt)
      .where(sql`${table.deletedAt} IS NULL`),
    // The API processes poll for changes.
    index('api_keys_changed_at').on(table.changedAt),
    index('api_keys_deleted_at').on(table.deletedAt).where(sql`${table.deletedAt} IS NOT NULL`),
    check(
      'api_keys_rate_is_whole',
      sql`(${table.rateRequests} IS NULL) = (${table.rateWindowS} IS NULL)`,
    ),
  ],
)

/**
 * Events. The row is the lock under which all commands of the event are decided. It has the
 * counters, so that no decision counts rows.
 */
export const events = pgTable(
  'events',
  {
    eventId: bigint('event_id', { mode: 'number' }).primaryKey(),
    /**
     * Tickets in circulation: booked, held or free. It is less than `capacity` while tickets are
     * withheld, and more while the event shrinks.
     */
    totalTickets: integer('total_tickets').notNull(),
    /** The size that the organizer wants; null means `totalTickets`, as in earlier releases. */
    capacity: integer('capacity'),
    availableTickets: integer('available_tickets').notNull(),
    heldCount: integer('held_count').notNull().default(0),
    waitingCount: integer('waiting_count').notNull().default(0),
    /** The last sequence number. Bookings and waiting-list entries are numbered when decided. */
    lastSequence: bigint('last_sequence', { mode: 'number' }).notNull().default(0),
    /**
     * No entry before this number is waiting. The search for the head of the waiting list starts
     * here, so that it skips entries that have left the list. If the event is canceled, no claim
     * before this number is live, bookings included.
     */
    waitlistHeadSequence: bigint('waitlist_head_sequence', { mode: 'number' }).notNull().default(0),
    /**
     * The earliest time at which a settle would change something; null if there is none. It may be
     * too early, never too late: settles search for holds and reminders from there on.
     */
    dueAt: at('due_at'),
    canceledAt: at('canceled_at'),
    /** The last number in the event's change log. */
    lastChange: bigint('last_change', { mode: 'number' }).notNull().default(0),
    /**
     * The number of `event.created`. Changes before it are of deleted events that had the same id,
     * and may belong to another organizer.
     */
    firstChange: bigint('first_change', { mode: 'number' }).notNull().default(1),
    /** Counts the changes of settings. */
    version: integer('version').notNull().default(1),
    /** Null if the caller was not staff, or if the event was created before events had owners. */
    owner: id('owner'),
    /** True if all organizers are staff of the event: it was created before events had owners. */
    shared: boolean('shared').notNull().default(false),
    listed: boolean('listed').notNull().default(true),
    name: text('name'),
    /** The name as `nameKeyOf` spells it. Searches thus ignore case in every database locale. */
    nameKey: id('name_key'),
    startsAt: at('starts_at'),
    endsAt: at('ends_at'),
    timezone: text('timezone'),
    venue: text('venue'),
    url: text('url'),
    opensAt: at('opens_at'),
    closesAt: at('closes_at'),
    paused: boolean('paused').notNull().default(false),
    promoting: boolean('promoting').notNull().default(true),
    holdSeconds: integer('hold_seconds'),
    offerSeconds: integer('offer_seconds'),
    maxHoldSeconds: integer('max_hold_seconds'),
    confirmation: text('confirmation', { enum: ['holder', 'staff'] })
      .notNull()
      .default('holder'),
    maxWaiting: integer('max_waiting'),
    createdAt: at('created_at').notNull().defaultNow(),
  },
  (table) => [
    // The workers' clock reads the events that have something due, the earliest first.
    index('events_due').on(table.dueAt, table.eventId).where(sql`${table.dueAt} IS NOT NULL`),
    // The orders and filters of `GET /events`. No booking changes these columns, so the updates of
    // the counters write to no index.
    index('events_listed').on(table.eventId).where(sql`${table.listed}`),
    index('events_by_start').on(table.startsAt, table.eventId),
    index('events_by_name')
      .on(table.nameKey, table.eventId)
      .where(sql`${table.nameKey} IS NOT NULL`),
    index('events_opening').on(table.opensAt).where(sql`${table.opensAt} IS NOT NULL`),
    index('events_closing').on(table.closesAt),
    index('events_stopped')
      .on(table.eventId)
      .where(sql`${table.paused} OR ${table.canceledAt} IS NOT NULL`),
    // Canceled events with claims that settles have yet to end.
    index('events_ending')
      .on(table.eventId)
      .where(sql`${table.canceledAt} IS NOT NULL AND ${table.dueAt} IS NOT NULL`),
    // The events of one owner, and those that all organizers share, for `GET /events?mine=true`.
    index('events_of_owner').on(table.owner, table.eventId).where(sql`${table.owner} IS NOT NULL`),
    index('events_shared').on(table.eventId).where(sql`${table.owner} IS NULL AND ${table.shared}`),
    // Finds the few events that have withheld tickets.
    index('events_withheld')
      .on(table.eventId)
      .where(sql`${table.capacity} > ${table.totalTickets} AND ${table.canceledAt} IS NULL`),
    check('events_capacity_in_range', sql`${table.capacity} BETWEEN 0 AND 1000000`),
    check(
      'events_held_in_range',
      sql`${table.heldCount} BETWEEN 0 AND ${table.totalTickets} - ${table.availableTickets}`,
    ),
    check(
      'events_canceled_has_no_free_ticket',
      sql`${table.canceledAt} IS NULL OR ${table.availableTickets} = 0`,
    ),
    check('events_confirmation_known', sql`${table.confirmation} IN ('holder', 'staff')`),
    check('events_id_in_range', sql`${table.eventId} BETWEEN 1 AND 9007199254740991`),
    check('events_size_in_range', sql`${table.totalTickets} BETWEEN 0 AND 1000000`),
    check(
      'events_never_oversold',
      sql`0 <= ${table.availableTickets} AND ${table.availableTickets} <= ${table.totalTickets}`,
    ),
    check(
      'events_no_free_ticket_while_waiting',
      sql`${table.waitingCount} = 0 OR (${table.availableTickets} = 0 AND ${table.waitingCount} > 0)`,
    ),
  ],
)

/** People who are staff of an event, besides its owner, as long as their role is `organizer`. */
export const eventOrganizers = pgTable(
  'event_organizers',
  {
    // The organizers are deleted with their event, so that they are not staff of an event that
    // another user creates with the same id.
    eventId: eventId().references(() => events.eventId, { onDelete: 'cascade' }),
    userId: id('user_id').notNull(),
    /** The place in the list of organizers. */
    position: smallint('position').notNull(),
    addedAt: at('added_at').notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.eventId, table.userId] }),
    index('event_organizers_of_user').on(table.userId, table.eventId),
  ],
)

/** Ids of events that are created without one. Clients that choose an id can use smaller ones. */
export const eventIds = pgSequence('event_ids', { startWith: 1_000_001 })

/**
 * What each user has for an event: a booking, a hold, a waiting-list entry, or a hold that lapsed.
 * The primary key allows only one row per user and event, and finds it. Because it begins with the
 * user, it also finds everything that a user has.
 */
export const claims = pgTable(
  'claims',
  {
    eventId: eventId(),
    userId: id('user_id').notNull(),
    /** A `lapsed` hold is no claim, but it can be confirmed late. */
    kind: text('kind', { enum: ['booking', 'held', 'waiting', 'lapsed'] }).notNull(),
    /** The row of `bookings` or `waitlist_entries`. */
    sequence: bigint('sequence', { mode: 'number' }).notNull(),
  },
  (table) => [
    primaryKey({
      name: 'claims_event_id_user_id_pk',
      columns: [table.userId, table.eventId],
    }),
    // For pruning.
    index('claims_lapsed').on(table.eventId, table.userId).where(sql`${table.kind} = 'lapsed'`),
    check('claims_kind_known', sql`${table.kind} IN ('booking', 'held', 'waiting', 'lapsed')`),
  ],
)

/** What a row of `claims` is. */
export type ClaimKind = (typeof claims.$inferSelect)['kind']
/** A kind of claim that the user still has. */
export type LiveKind = Exclude<ClaimKind, 'lapsed'>

/** Bookings and holds, live and ended. */
export const bookings = pgTable(
  'bookings',
  {
    eventId: eventId(),
    sequence: bigint('sequence', { mode: 'number' }).notNull(),
    userId: id('user_id').notNull(),
    /** A hold that the user released is `canceled`. One that lapsed is `expired`. */
    status: text('status', {
      enum: ['confirmed', 'held', 'canceled', 'expired', 'event_canceled'],
    }).notNull(),
    /** True if it came from the waiting list. If it was a hold, it is or was an offer. */
    promoted: boolean('promoted').notNull(),
    /** True if staff gave the ticket to the user, ahead of the waiting list. */
    granted: boolean('granted').notNull().default(false),
    /** When the user got the ticket, booked or held. */
    bookedAt: at('booked_at').notNull(),
    /** When it ended, whatever ended it. */
    canceledAt: at('canceled_at'),
    /** When the hold began; null if it was never one. */
    heldAt: at('held_at'),
    /** First length of the hold. */
    holdSeconds: integer('hold_seconds'),
    /** When the hold lapses, or would have lapsed. */
    expiresAt: at('expires_at'),
    /** When the hold became a booking. */
    confirmedAt: at('confirmed_at'),
    /** When `booking.expiring` was logged; null after an extension. */
    remindedAt: at('reminded_at'),
  },
  (table) => [
    primaryKey({ columns: [table.eventId, table.sequence] }),
    check(
      'bookings_status_known',
      sql`${table.status} IN ('confirmed', 'held', 'canceled', 'expired', 'event_canceled')`,
    ),
    check(
      'bookings_hold_has_deadline',
      sql`${table.status} <> 'held' OR (${table.expiresAt} IS NOT NULL AND ${table.heldAt} IS NOT NULL AND ${table.holdSeconds} IS NOT NULL)`,
    ),
    // The order in which holds lapse.
    index('bookings_held')
      .on(table.eventId, table.expiresAt, table.sequence)
      .where(sql`${table.status} = 'held'`),
    // The lists of bookings and of holds. Without them, a page would step over everything that has
    // ended, and over the bookings that are older than the holds.
    index('bookings_booked_listed')
      .on(table.eventId, table.sequence)
      .where(sql`${table.status} = 'confirmed'`),
    index('bookings_held_listed')
      .on(table.eventId, table.sequence)
      .where(sql`${table.status} = 'held'`),
    // When a fifth of a hold's time is left, in UTC: the order of `booking.expiring`. PostgreSQL
    // allows no index of a `timestamptz` less an interval, because the result may depend on the
    // time zone.
    index('bookings_expiring')
      .on(
        table.eventId,
        sql`((${table.expiresAt} AT TIME ZONE 'UTC') - (${table.expiresAt} - ${table.heldAt}) / 5)`,
        table.sequence,
      )
      .where(sql`${table.status} = 'held' AND ${table.remindedAt} IS NULL`),
    // What a user had, in order of time.
    index('bookings_ended_of_user')
      .on(table.userId, table.canceledAt)
      .where(sql`${table.status} IN ('canceled', 'expired', 'event_canceled')`),
  ],
)

/** Waiting-list entries. Their order is `sequence`. */
export const waitlistEntries = pgTable(
  'waitlist_entries',
  {
    eventId: eventId(),
    sequence: bigint('sequence', { mode: 'number' }).notNull(),
    userId: id('user_id').notNull(),
    status: text('status', {
      enum: ['waiting', 'promoted', 'withdrawn', 'granted', 'event_canceled'],
    }).notNull(),
    since: at('since').notNull(),
    leftAt: at('left_at'),
  },
  (table) => [
    primaryKey({ columns: [table.eventId, table.sequence] }),
    check(
      'waitlist_entries_status_known',
      sql`${table.status} IN ('waiting', 'promoted', 'withdrawn', 'granted', 'event_canceled')`,
    ),
    // Finds the head of a waiting list, even if thousands of entries before it have left the list.
    index('waitlist_entries_waiting')
      .on(table.eventId, table.sequence)
      .where(sql`${table.status} = 'waiting'`),
    // Like that of `bookings`. Entries that became bookings are not in it.
    index('waitlist_entries_ended_of_user')
      .on(table.userId, table.leftAt)
      .where(sql`${table.status} IN ('withdrawn', 'event_canceled')`),
  ],
)

/**
 * How many entries are waiting in each block of `WAITLIST_BLOCK_SIZE` sequence numbers. A position
 * in a list of a million is the sum of a few hundred rows and a short scan, instead of a count of
 * half a million rows.
 */
export const waitlistBlocks = pgTable(
  'waitlist_blocks',
  {
    eventId: eventId(),
    block: bigint('block', { mode: 'number' }).notNull(),
    waitingCount: integer('waiting_count').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.eventId, table.block] }),
    check(
      'waitlist_blocks_count_in_range',
      sql`${table.waitingCount} BETWEEN 0 AND ${sql.raw(String(WAITLIST_BLOCK_SIZE))}`,
    ),
  ],
)

/**
 * All decided commands with their outcomes. A job that runs again finds its outcomes here, and so
 * do polls.
 */
export const commands = pgTable(
  'commands',
  {
    commandId: id('command_id').primaryKey(),
    type: text('type', { enum: COMMAND_TYPES }).notNull(),
    eventId: eventId(),
    /** Empty for a `settle`, as is `caller`. */
    userId: id('user_id').notNull(),
    /** The user or the API key that sent the request. */
    caller: id('caller').notNull(),
    /** An outcome of the API, or `refused` if the command was abandoned. */
    outcome: text('outcome').notNull(),
    position: integer('position'),
    /** Sequence number of the booking in the outcome. */
    bookingSequence: bigint('booking_sequence', { mode: 'number' }),
    promotedUserId: id('promoted_user_id'),
    /** The members of the outcome that have no column; null if there are none. */
    data: jsonb('data').$type<StoredOutcomeData>(),
    /** The first command with the same idempotency key, if this command repeats its outcome. */
    replayOf: id('replay_of'),
    /**
     * SHA-256 of its idempotency key, base64url; null if it had none, or an earlier release decided
     * it.
     */
    idempotencyKey: id('idempotency_key'),
    acceptedAt: at('accepted_at').notNull(),
    decidedAt: at('decided_at').notNull(),
  },
  (table) => [
    // For pruning. Rows arrive in order of time, so new entries go to the right edge of the tree. A
    // block range index would cost less here, but its ranges never get narrower: once pruned space
    // is used again, all pages look old.
    index('commands_oldest_first').on(table.decidedAt),
  ],
)

/**
 * Jobs that API processes have told clients are accepted. A row exists before the client gets its
 * answer, and until the outcomes of all commands of the job are stored. So if Redis loses a job, it
 * can be added again.
 */
export const acceptedJobs = pgTable('accepted_jobs', {
  jobId: id('job_id').primaryKey(),
  /** Each process records the jobs of a line in their order. */
  acceptedNo: bigint('accepted_no', { mode: 'number' })
    .generatedAlwaysAsIdentity()
    .notNull()
    .unique(),
  lineName: id('line_name').notNull(),
  payload: jsonb('payload').$type<JobPayload>().notNull(),
  acceptedAt: at('accepted_at').notNull().defaultNow(),
})

/**
 * What happened to each event, in order of decision. The audit trail, the feed, webhooks and live
 * updates read it. The numbers of an event have no gaps. The transaction of a decision adds its
 * rows. Pruning removes rows, but keeps the last one of each event. A trigger refuses everything
 * else.
 */
export const changes = pgTable(
  'changes',
  {
    eventId: eventId(),
    no: bigint('no', { mode: 'number' }).notNull(),
    at: at('at').notNull(),
    /** Number of the booking, hold or waiting-list entry; null if the event itself changed. */
    sequence: bigint('sequence', { mode: 'number' }),
    type: text('type', { enum: CHANGE_TYPES }).notNull(),
    /** The user whose claim changed; null if the event itself changed. */
    userId: id('user_id'),
    /** The caller of the command; null if neither a user nor a key sent it. */
    actor: id('actor'),
    /** Null for `event.created`. */
    commandId: id('command_id'),
    data: jsonb('data').$type<LoggedChangeData>(),
  },
  (table) => [primaryKey({ columns: [table.eventId, table.no] })],
)

/** Webhooks: endpoints, and which changes they get. */
export const webhooks = pgTable(
  'webhooks',
  {
    webhookId: uuid('webhook_id').primaryKey().defaultRandom(),
    /** The user who made it. It gets changes of the events of which this user is staff. */
    owner: id('owner').notNull(),
    /** The role that the owner had. It counts if the owner has no local account. */
    ownerRole: text('owner_role', { enum: ROLES }).notNull(),
    url: text('url').notNull(),
    /** Null for all types. */
    types: text('types', { enum: CHANGE_TYPES }).array(),
    /** Null for all events. */
    eventIds: bigint('event_ids', { mode: 'number' }).array(),
    format: text('format', { enum: ['single', 'batch'] }).notNull(),
    description: text('description'),
    /** The signing secret, encrypted with `WEBHOOK_SECRET_KEY`. */
    secret: bytes('secret').notNull(),
    /** The secret before the last rotation. Deliveries are signed with both for a day. */
    previousSecret: bytes('previous_secret'),
    previousSecretUntil: at('previous_secret_until'),
    createdAt: at('created_at').notNull().defaultNow(),
    /** Since when all deliveries have failed; null if the last one succeeded. */
    failingSince: at('failing_since'),
    disabledAt: at('disabled_at'),
    disabledReason: text('disabled_reason', { enum: ['gone', 'failing', 'user'] }),
  },
  (table) => [index('webhooks_of_owner').on(table.owner, table.createdAt)],
)

/**
 * Up to which change each event was dispatched to the webhooks. Every webhook that gets changes of
 * the event up to this number has a cursor. Notifiers and deletions of events write it.
 */
export const webhookDispatch = pgTable('webhook_dispatch', {
  eventId: bigint('event_id', { mode: 'number' }).primaryKey(),
  dispatchedNo: bigint('dispatched_no', { mode: 'number' }).notNull(),
})

/** How far an endpoint has received the changes of an event. */
export const webhookCursors = pgTable(
  'webhook_cursors',
  {
    webhookId: uuid('webhook_id').notNull(),
    eventId: eventId(),
    /** The last change that was delivered, parked or passed over. */
    deliveredNo: bigint('delivered_no', { mode: 'number' }).notNull(),
    /** The last change that was dispatched to the endpoint. */
    announcedNo: bigint('announced_no', { mode: 'number' }).notNull(),
    /**
     * The last change of the batch that is being sent. A retry sends the same batch. Null if no
     * batch was begun.
     */
    batchTo: bigint('batch_to', { mode: 'number' }),
    /** When the next attempt is due; null if everything that was dispatched is delivered. */
    nextAttemptAt: at('next_attempt_at'),
    /** Until when only one notifier may send the endpoint changes of the event. */
    claimedUntil: at('claimed_until'),
    /** Failed attempts to send the next changes. */
    attempts: integer('attempts').notNull().default(0),
    /** When the first of them failed. */
    failingSince: at('failing_since'),
  },
  (table) => [
    primaryKey({ columns: [table.webhookId, table.eventId] }),
    index('webhook_cursors_due')
      .on(table.webhookId, table.nextAttemptAt)
      .where(sql`${table.nextAttemptAt} IS NOT NULL`),
  ],
)

/** The last attempts to deliver changes. Each endpoint keeps 1,000 of them, for 30 days. */
export const webhookAttempts = pgTable(
  'webhook_attempts',
  {
    attemptId: bigint('attempt_id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    webhookId: uuid('webhook_id').notNull(),
    /** Null for a test call. */
    eventId: bigint('event_id', { mode: 'number' }),
    /** The first and the last change in it; null for a test call. */
    firstNo: bigint('first_no', { mode: 'number' }),
    lastNo: bigint('last_no', { mode: 'number' }),
    /** The `webhook-id` of the request. */
    messageId: text('message_id').notNull(),
    /** Which attempt for these changes it was, from 1. */
    attempt: integer('attempt').notNull(),
    kind: text('kind', { enum: ['live', 'replay', 'test'] }).notNull(),
    state: text('state', { enum: ['delivered', 'failed', 'parked'] }).notNull(),
    at: at('at').notNull(),
    tookMs: integer('took_ms').notNull(),
    /** Status of the answer; null if there was none. */
    status: integer('status'),
    /** Why it failed; null if it did not. */
    error: text('error'),
  },
  (table) => [
    index('webhook_attempts_of_webhook').on(table.webhookId, table.attemptId),
    index('webhook_attempts_oldest_first').on(table.at),
  ],
)

/**
 * The first command with a caller's idempotency key. Repeats that are accepted within
 * `IDEMPOTENCY_KEY_HOURS` get its outcome.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    caller: id('caller').notNull(),
    /** SHA-256 of the key, base64url. */
    keyHash: id('key_hash').notNull(),
    commandId: id('command_id').notNull(),
    /** What the request asked for beyond its type, event and user; null if nothing. SHA-256. */
    requestHash: id('request_hash'),
    /** When the first request with the key was accepted. */
    createdAt: at('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.caller, table.keyHash] }),
    index('idempotency_keys_oldest_first').on(table.createdAt),
  ],
)

/**
 * How often a command of a crashed job was started alone. The row is written before the command
 * runs and deleted when it is decided.
 */
export const commandStarts = pgTable('command_starts', {
  commandId: id('command_id').primaryKey(),
  starts: smallint('starts').notNull(),
  lastStartAt: at('last_start_at').notNull(),
})

/**
 * Up to which time pruning has removed the outcomes of a line. If Redis was restored from an old
 * copy, an older job without an outcome may have been decided. So no worker runs such a job.
 */
export const prunedLines = pgTable('pruned_lines', {
  lineName: id('line_name').primaryKey(),
  /** When the latest removed outcome was decided. */
  decidedBefore: at('decided_before').notNull(),
})

/**
 * Commands whose outcomes were pruned, and whose job ids contain a time long after the decision.
 * This happens if the clock of an API process was far ahead. `pruned_lines` may not cover such
 * jobs.
 */
export const forgottenCommands = pgTable('forgotten_commands', {
  commandId: id('command_id').primaryKey(),
})

/**
 * The identity of this installation, in one row. Redis has the same id under the key prefix, so
 * that a process notices if its two servers do not belong together. The row also records the layout
 * of the lines, which must be the same in all processes.
 */
export const installation = pgTable(
  'installation',
  {
    only: boolean('only').primaryKey().default(true),
    id: uuid('id').notNull(),
    keyPrefix: text('key_prefix').notNull(),
    sharedLines: integer('shared_lines').notNull(),
    shards: integer('shards').notNull(),
    /**
     * Set while all lines are known to be empty. The next process then may record another layout.
     */
    drainedAt: at('drained_at'),
    /** The random id of the Redis in use, and when a process last used it. */
    redisId: uuid('redis_id'),
    redisSeenAt: at('redis_seen_at'),
    /**
     * The generation that the last recovery gave to Redis. Any other one is out of date. Null
     * before the first recovery, and during a recovery.
     */
    redisGeneration: text('redis_generation'),
    /**
     * Changes with `ops new-epoch`, after an older copy of the database was restored. Numbers of
     * changes are then given out again, so readers must not continue from those they know.
     */
    epoch: uuid('epoch').notNull().defaultRandom(),
    /** The epoch that the cursors of webhooks belong to; null before the first notifier. */
    webhookEpoch: uuid('webhook_epoch'),
    createdAt: at('created_at').notNull().defaultNow(),
  },
  (table) => [check('installation_is_one_row', sql`${table.only}`)],
)
