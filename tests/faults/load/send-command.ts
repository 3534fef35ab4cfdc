import type { CommandCall, CommandInput, CommandType, EventSettings, History } from '../history.ts'
import type { HttpClient, RequestOptions } from './http-client.ts'

/** An API process as clients know it. */
export interface Endpoint {
  name: string
  url: string
}

export interface SendOptions {
  prefer?: string
  hangUpAfterMs?: number
  timeoutMs?: number
}

/** The only member of staff. It sends commands for users, changes events, and reads every job. */
export const STAFF = 'staff'
/** Longer than any answer may take, even if a process is frozen during the request. */
export const TIMEOUT_MS = 20_000

/** Sends one command and adds it to the history when it has ended. */
export async function sendCommand(
  { client, history }: { client: HttpClient; history: History },
  endpoint: Endpoint,
  command: CommandInput,
  { prefer, timeoutMs = TIMEOUT_MS, ...rest }: SendOptions = {},
): Promise<CommandCall> {
  const { key } = command
  const exchange = await client.send(endpoint.url, {
    ...requestOf(command),
    token: await client.token(command.caller, command.caller === STAFF ? 'organizer' : 'user'),
    headers: {
      ...(prefer !== undefined && { prefer }),
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    timeoutMs,
    ...rest,
  })
  const call: CommandCall = { kind: 'command', ...command, api: endpoint.name, ...exchange }
  history.commands.push(call)
  return call
}

function requestOf({
  type,
  eventId,
  userId,
  bookingId,
  seconds,
  raiseCapacity,
  patch,
  shrink,
}: CommandInput): Pick<RequestOptions, 'method' | 'path' | 'body'> {
  const named = { eventId, userId, ...(bookingId !== undefined && { bookingId }) }
  switch (type) {
    case 'book':
      return { method: 'POST', path: '/book', body: { eventId, userId } }
    case 'cancel':
    case 'confirm':
      return { method: 'POST', path: `/${type}`, body: named }
    case 'extend':
      return {
        method: 'POST',
        path: '/extend',
        body: { ...named, ...(seconds !== undefined && { seconds }) },
      }
    case 'grant':
      return {
        method: 'POST',
        path: `/events/${eventId}/grants`,
        body: { userId, ...(raiseCapacity !== undefined && { raiseCapacity }) },
      }
    case 'configure':
      return {
        method: 'PATCH',
        path: `/events/${eventId}`,
        body: { ...patch, ...(shrink !== undefined && { shrink }) },
      }
    case 'cancel_event':
      return { method: 'POST', path: `/events/${eventId}/cancel`, body: {} }
  }
}

/** A command of staff that changes an event. */
export const configureOf = (eventId: number, patch: EventSettings): CommandInput => ({
  type: 'configure',
  eventId,
  userId: STAFF,
  caller: STAFF,
  patch,
})

/** A command that users send for themselves. */
export const commandOf = (
  type: CommandType,
  eventId: number,
  userId: string,
  key?: string,
): CommandInput => ({
  type,
  eventId,
  userId,
  caller: userId,
  ...(key !== undefined && { key }),
})
