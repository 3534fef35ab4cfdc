import type { AnyDecision, ErrorCode, Job } from '@ticket-line/client'

/** The commands that a visitor can send. */
export type CommandAction = 'book' | 'confirm' | 'cancel'

/** A command that this page has sent or is about to send. */
export interface SentCommand {
  action: CommandAction
  eventId: number
  /** Who sent it. Somebody else who signs in here later must not send it again. */
  userId: string
  /** Its `Idempotency-Key`. However often the command is sent with it, it has one effect. */
  key: string
  /** The booking or hold that the command is about. */
  bookingId: string | null
  /** Known once the server has accepted the command without an immediate decision. */
  jobId: string | null
  /** When the visitor asked for it, by the clock of this machine, ms since 1970. */
  askedAtMs: number
}

/** Why a command has no decision, or was refused. */
export interface CommandFailure {
  /** The code of the API; `no_answer` if the API could not be reached. */
  code: ErrorCode | 'no_answer'
  /** The earliest time to send it again, ms since 1970, by the server's clock. */
  retryAtMs: number | null
  /** When the page learned of the failure, ms since 1970, by the server's clock. */
  atMs: number
}

/** How far the visitor's last command has come. */
export type CommandState =
  | { kind: 'none' }
  | { kind: 'sending'; command: SentCommand; isSlow: boolean }
  | { kind: 'accepted'; command: SentCommand; ahead: number | null; etaSeconds: number | null }
  | { kind: 'decided'; command: SentCommand; outcome: AnyDecision['outcome'] }
  | { kind: 'failed'; command: SentCommand; failure: CommandFailure }

/** Whether the page still waits for the decision. */
export function isUndecided(
  state: CommandState,
): state is Extract<CommandState, { kind: 'sending' | 'accepted' }> {
  return state.kind === 'sending' || state.kind === 'accepted'
}

/**
 * Whether the command may be sent again with its key, because it had no effect or nobody knows. All
 * other failures are final refusals.
 */
export function isRepeatable(failure: Pick<CommandFailure, 'code'>): boolean {
  return isKept(failure) || ['busy', 'unavailable', 'rate_limited'].includes(failure.code)
}

/**
 * Whether a failed command stays stored. It does if the server may have it, or if the visitor only
 * has to sign in again. In all other cases it had no effect, and the visitor may change their mind.
 */
export function isKept({ code }: Pick<CommandFailure, 'code'>): boolean {
  return KEPT.has(code)
}

const KEPT: ReadonlySet<CommandFailure['code']> = new Set([
  'no_answer',
  'unexpected_answer',
  'unknown',
  'internal',
  'unauthorized',
] as const)

/** sending → accepted; accepted → accepted. Other states do not change. */
export function progressed(
  state: CommandState,
  { ahead, etaSeconds }: Pick<Job, 'ahead' | 'etaSeconds'>,
): CommandState {
  if (!isUndecided(state)) return state
  return { kind: 'accepted', command: state.command, ahead, etaSeconds }
}

/** sending → sending, and the page says that it takes long. */
export function slowed(state: CommandState): CommandState {
  return state.kind === 'sending' ? { ...state, isSlow: true } : state
}

/** The part of `sessionStorage` that is used. */
export type CommandStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

/** A command without a job may never have arrived. It is too old to be sent after this time, ms. */
const FORGET_UNACCEPTED_AFTER_MS = 15 * 60_000
/** The server keeps keys and decisions for this long, ms. */
const FORGET_AFTER_MS = 24 * 3_600_000

/** Stores a command, in case the page is reloaded before the decision. */
export function storeCommand(storage: CommandStorage, command: SentCommand): void {
  try {
    storage.setItem(keyOf(command.eventId), JSON.stringify(command))
  } catch {
    // Without storage, a reload before the decision forgets the command. No ticket is lost.
  }
}

export function forgetCommand(storage: CommandStorage, eventId: number): void {
  try {
    storage.removeItem(keyOf(eventId))
  } catch {
    // There is no storage.
  }
}

/**
 * The command of this user that had no decision when the page was closed.
 *
 * @param nowMs the clock of this machine
 */
export function storedCommand(
  storage: CommandStorage,
  eventId: number,
  userId: string,
  nowMs: number,
): SentCommand | undefined {
  try {
    const command = JSON.parse(storage.getItem(keyOf(eventId)) ?? 'null') as SentCommand | null
    if (command === null || command.userId !== userId) return undefined
    const keptMs = command.jobId === null ? FORGET_UNACCEPTED_AFTER_MS : FORGET_AFTER_MS
    return nowMs - command.askedAtMs < keptMs ? command : undefined
  } catch {
    return undefined
  }
}

function keyOf(eventId: number): string {
  return `ticket-line.command.${eventId}`
}
