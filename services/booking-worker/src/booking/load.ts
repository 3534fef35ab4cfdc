import type { LoadedBatch, LoadRequest } from '@ticket-line/db'
import type { Command } from '@ticket-line/shared'
import { type BatchState, type FirstAnswer, keyOf } from './decide-batch.js'
import { type Claim, type EventState, startBatch } from './event-state.js'

/** What has to be read to decide these commands of these jobs. */
export function loadRequestOf(
  jobIds: string[],
  commands: readonly Command[],
  whenLocked: LoadRequest['whenLocked'] = 'wait',
): LoadRequest {
  const users = new Map<string, LoadRequest['users'][number]>()
  const cancels = new Map<number, number>()
  const eventIds = new Set<number>()
  const keys = new Map<string, LoadRequest['keys'][number]>()
  for (const { type, eventId, userId, caller, keyHash } of commands) {
    eventIds.add(eventId)
    const key = `${eventId}\n${userId}`
    const user = users.get(key)
    if (user === undefined) users.set(key, { eventId, userId, wantRank: type === 'book' })
    else if (type === 'book') user.wantRank = true
    // Each cancel takes at most one entry out of the list: by promotion, or because it was its own.
    if (type === 'cancel') cancels.set(eventId, (cancels.get(eventId) ?? 0) + 1)
    if (keyHash !== undefined) keys.set(keyOf(caller, keyHash), { caller, keyHash })
  }
  return {
    eventIds: [...eventIds].sort((a, b) => a - b),
    whenLocked,
    jobIds,
    users: [...users.values()],
    heads: [...cancels].map(([eventId, count]) => ({ eventId, count })),
    keys: [...keys.values()],
  }
}

/** Builds the working state of a batch from the rows that were read. */
export function batchStateOf(request: LoadRequest, loaded: LoadedBatch): BatchState {
  const wanted = new Map(request.heads.map((head) => [head.eventId, head.count]))
  const events = new Map<number, EventState>()
  for (const row of loaded.events) {
    const heads = loaded.heads.filter((head) => head.eventId === row.eventId)
    const headsComplete = row.waitingCount === 0 || heads.length < (wanted.get(row.eventId) ?? 0)
    // Who was found first waits first: those before, who left out of turn, are not to be searched through again.
    const waitlistHeadSequence = heads[0]?.sequence ?? row.waitlistHeadSequence
    events.set(
      row.eventId,
      startBatch({ ...row, waitlistHeadSequence, claims: new Map(), heads, headsComplete }),
    )
  }
  for (const { eventId, userId, kind, sequence, rank } of loaded.claims) {
    const claim: Claim =
      kind === 'booking' ? { kind, sequence } : { kind, sequence, loadedRank: rank ?? undefined }
    events.get(eventId)?.claims.set(userId, claim)
  }
  return {
    events,
    stored: new Map(loaded.stored.map((row) => [row.commandId, row.outcome])),
    keys: new Map(loaded.keys.map((row) => [keyOf(row.caller, row.keyHash), firstAnswerOf(row)])),
  }
}

function firstAnswerOf(row: LoadedBatch['keys'][number]): FirstAnswer {
  const { createdAtMs, commandId, type, eventId, userId, outcome } = row
  return { acceptedAtMs: createdAtMs, commandId, type, eventId, userId, outcome }
}
