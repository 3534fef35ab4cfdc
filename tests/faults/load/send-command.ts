import type { CommandCall, CommandType, History } from '../history.ts'
import type { HttpClient } from './http-client.ts'

/** An API process as clients know it. */
export interface Endpoint {
  name: string
  url: string
}

/** A command to send, possibly more than once. */
export interface CommandInput {
  type: CommandType
  eventId: number
  userId: string
  /** `userId`, or `STAFF`. */
  caller: string
  key?: string
}

export interface SendOptions {
  prefer?: string
  hangUpAfterMs?: number
  timeoutMs?: number
}

/** The only member of staff. It books and cancels for users, and reads every job. */
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
  const { type, eventId, userId, key } = command
  const exchange = await client.send(endpoint.url, {
    method: 'POST',
    path: `/${type}`,
    token: await client.token(command.caller, command.caller === STAFF ? 'organizer' : 'user'),
    headers: {
      ...(prefer !== undefined && { prefer }),
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: { eventId, userId },
    timeoutMs,
    ...rest,
  })
  const call: CommandCall = { kind: 'command', ...command, api: endpoint.name, ...exchange }
  history.commands.push(call)
  return call
}

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
