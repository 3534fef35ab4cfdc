import type { CommandCall, CommandType, History } from '../history.ts'
import type { Caller } from './http-client.ts'

/** Where a client may send its requests. */
export interface Entry {
  name: string
  url: string
}

/** What a client wants, so that it can ask for it again. */
export interface Wish {
  type: CommandType
  eventId: number
  /** Whom it is for, and who asks: that user, or staff. */
  userId: string
  caller: string
  key?: string
}

export interface SendOptions {
  prefer?: string
  leaveAfterMs?: number
  silentAfterMs?: number
}

/** The one member of staff; acts for others and reads every job. */
export const STAFF = 'staff'
/** Longer than any promised answer, with every freeze of a process on top. */
export const SILENT_AFTER_MS = 20_000

/** Sends one command and writes it into the history once it is over. */
export async function sendCommand(
  { caller, history }: { caller: Caller; history: History },
  entry: Entry,
  wish: Wish,
  { prefer, silentAfterMs = SILENT_AFTER_MS, ...rest }: SendOptions = {},
): Promise<CommandCall> {
  const { type, eventId, userId, key } = wish
  const exchange = await caller.ask(entry.url, {
    method: 'POST',
    path: `/${type}`,
    token: await caller.token(wish.caller, wish.caller === STAFF ? 'organizer' : 'user'),
    headers: {
      ...(prefer !== undefined && { prefer }),
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: { eventId, userId },
    silentAfterMs,
    ...rest,
  })
  const call: CommandCall = { kind: 'command', ...wish, api: entry.name, ...exchange }
  history.commands.push(call)
  return call
}

/** A wish of a user for himself. */
export const wishOf = (type: CommandType, eventId: number, userId: string, key?: string): Wish => ({
  type,
  eventId,
  userId,
  caller: userId,
  ...(key !== undefined && { key }),
})
