import type { Mutation } from '../fleet/mutation.ts'
import {
  bookMoreThanAll,
  bookTwice,
  cancelAndDie,
  cancelAtOnce,
  cancelOne,
  frozenWorker,
  lapseOne,
  loseAccepted,
  loseCommitReplies,
  type Proof,
  randomClients,
} from './proofs.ts'

/** A guard of the design, how to remove it, and a run that fails without it. */
export interface Guard {
  name: string
  /** A defect of both runs, without which another guard would keep the promise. */
  alsoBroken?: { what: string; mutations: Mutation[] }
  remove: Mutation[]
  proof: Proof
}

const noGlobalConcurrency: Mutation = {
  kind: 'wrap',
  package: 'packages/line',
  function: 'createLine',
  wrapper: 'withoutGlobalConcurrency',
}

const changeStore = (
  wrapper: 'withoutClaims' | 'withoutStoredOutcomes' | 'withDeathAfterCommit' | 'withLateLog',
): Mutation => ({
  kind: 'wrap',
  package: 'packages/db',
  function: 'createLineStore',
  wrapper,
})

const dropConstraint = (table: string, name: string): Mutation => ({
  kind: 'sql',
  statement: `ALTER TABLE ${table} DROP CONSTRAINT ${name}`,
})

export const GUARDS: Guard[] = [
  {
    name: 'row lock of the event',
    alsoBroken: { what: 'several jobs of a line at once', mutations: [noGlobalConcurrency] },
    remove: [
      { kind: 'remove-marked', mark: 'row-lock' },
      { kind: 'remove-marked', mark: 'row-lock-nowait' },
    ],
    proof: cancelAtOnce,
  },
  {
    name: 'unique claim',
    alsoBroken: { what: 'claims are not found', mutations: [changeStore('withoutClaims')] },
    remove: [dropConstraint('claims', 'claims_event_id_user_id_pk')],
    proof: bookTwice,
  },
  {
    name: 'stored outcome',
    remove: [changeStore('withoutStoredOutcomes'), dropConstraint('commands', 'commands_pkey')],
    proof: loseCommitReplies,
  },
  {
    name: 'CHECK of the counters',
    alsoBroken: {
      what: 'one ticket too many is booked, and the worker does not check its state',
      mutations: [
        {
          kind: 'wrap',
          package: 'services/booking-worker',
          function: 'decide',
          wrapper: 'withOneTicketTooMany',
        },
        {
          kind: 'wrap',
          package: 'services/booking-worker',
          function: 'assertInvariants',
          wrapper: 'withoutInvariants',
        },
      ],
    },
    remove: [dropConstraint('events', 'events_never_oversold')],
    proof: bookMoreThanAll,
  },
  { name: 'one active job per line', remove: [noGlobalConcurrency], proof: randomClients },
  {
    name: 'deadline of a hold',
    remove: [
      {
        kind: 'wrap',
        package: 'services/booking-worker',
        function: 'settle',
        wrapper: 'withoutDeadlines',
      },
    ],
    proof: lapseOne,
  },
  {
    name: 'log of every change',
    remove: [
      {
        kind: 'wrap',
        package: 'services/booking-worker',
        function: 'logOf',
        wrapper: 'withoutCancellationsInLog',
      },
    ],
    proof: cancelOne,
  },
  {
    name: 'consecutive numbers of changes',
    remove: [
      {
        kind: 'wrap',
        package: 'services/booking-worker',
        function: 'writesOf',
        wrapper: 'withSkippedNumber',
      },
    ],
    proof: cancelOne,
  },
  {
    name: 'log in the transaction of the decision',
    alsoBroken: {
      what: 'a worker dies right after a COMMIT',
      mutations: [changeStore('withDeathAfterCommit')],
    },
    remove: [changeStore('withLateLog')],
    proof: cancelAndDie,
  },
  {
    name: 'record before the 202',
    remove: [
      {
        kind: 'wrap',
        package: 'packages/line',
        function: 'createRecorder',
        wrapper: 'withLateRecord',
      },
    ],
    proof: loseAccepted,
  },
  {
    name: 'order of acceptance in a recovery',
    remove: [
      {
        kind: 'wrap',
        package: 'packages/line',
        function: 'createRecoveryRedis',
        wrapper: 'withoutOrderOfAcceptance',
      },
    ],
    proof: loseAccepted,
  },
  {
    name: 'idle-in-transaction timeout',
    remove: [{ kind: 'env', name: 'PG_IDLE_IN_TRANSACTION_TIMEOUT_MS', value: '600000' }],
    proof: frozenWorker,
  },
]
