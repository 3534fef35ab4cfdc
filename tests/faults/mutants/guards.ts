import type { Patch } from '../fleet/build-copy.ts'
import {
  bookMoreThanAll,
  bookTwice,
  frozenWorker,
  loseCommitReplies,
  manyClientsOnOneEvent,
  type Proof,
  randomClients,
} from './proofs.ts'

/** A guard, how to take it out of a build, and a run that it decides. */
export interface Guard {
  name: string
  /** What else is broken in both runs, so that it is this guard that everything hangs on. */
  alsoBroken?: { what: string; patches: Patch[] }
  remove: Patch[]
  proof: Proof
}

const LINE = 'packages/line/dist/server/line.js'
const DECIDE = 'services/booking-worker/dist/booking/decide.js'
const LOAD = 'packages/db/dist/line/load.js'
const SCHEMA = 'packages/db/migrations/0000_init.sql'

const noGlobalConcurrency: Patch[] = [
  {
    file: LINE,
    find: "setQueueMeta({ concurrency: 1, 'opts.max",
    replace: "setQueueMeta({ 'opts.max",
  },
]

export const GUARDS: Guard[] = [
  {
    name: 'row lock of the event',
    alsoBroken: { what: 'several jobs of a line at once', patches: noGlobalConcurrency },
    remove: [
      { file: LOAD, find: 'ORDER BY event_id FOR UPDATE', replace: 'ORDER BY event_id' },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what stands in the build
      { file: LOAD, find: '${lockEvents.text} NOWAIT', replace: '${lockEvents.text}' },
    ],
    proof: manyClientsOnOneEvent,
  },
  {
    name: 'unique claim',
    alsoBroken: {
      what: 'claims are not found',
      patches: [
        {
          file: LOAD,
          find: 'FROM claims WHERE event_id = u.event_id',
          replace: 'FROM claims WHERE false AND event_id = u.event_id',
        },
      ],
    },
    remove: [
      {
        file: SCHEMA,
        find: '\tCONSTRAINT "claims_event_id_user_id_pk" PRIMARY KEY("event_id","user_id"),\n',
        replace: '',
      },
    ],
    proof: bookTwice,
  },
  {
    name: 'stored outcome',
    remove: [
      { file: LOAD, find: ') ON true', replace: ') ON false' },
      {
        file: SCHEMA,
        find: 'CREATE TABLE "commands" (\n\t"command_id" text collate "C" PRIMARY KEY NOT NULL',
        replace: 'CREATE TABLE "commands" (\n\t"command_id" text collate "C" NOT NULL',
      },
    ],
    proof: loseCommitReplies,
  },
  {
    name: 'CHECK of the counters',
    alsoBroken: {
      what: 'one ticket too many is given out, and the worker does not look at what it writes',
      patches: [
        {
          file: DECIDE,
          find: 'state.availableTickets > 0',
          replace: 'state.availableTickets >= 0',
        },
        {
          file: 'services/booking-worker/dist/booking/event-state.js',
          find: 'export function assertInvariants(state) {',
          replace: 'export function assertInvariants(state) { return;',
        },
      ],
    },
    remove: [
      {
        file: SCHEMA,
        find: 'CHECK (0 <= "events"."available_tickets" AND "events"."available_tickets" <= "events"."total_tickets")',
        replace: 'CHECK (true)',
      },
    ],
    proof: bookMoreThanAll,
  },
  { name: 'one active job a line', remove: noGlobalConcurrency, proof: randomClients },
  {
    name: 'idle-in-transaction timeout',
    remove: [
      {
        file: 'packages/db/dist/session.js',
        find: 'idle_in_transaction_session_timeout: String(options.idleInTransactionTimeoutMs)',
        replace: "idle_in_transaction_session_timeout: '0'",
      },
    ],
    proof: frozenWorker,
  },
]
