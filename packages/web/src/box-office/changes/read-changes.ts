import { type Change, type ChangesPage, type ChangeType, hasCode } from '@ticket-line/client'
import { retainedPart, type Window, windowUpTo } from './window.js'

/** The calls that reading the change log takes. */
export interface ChangeCalls {
  /** @returns the number of the event's last change; 0 if it has none */
  lastChangeNo: () => Promise<number>
  /** @throws TicketLineError, `changes_pruned` if the changes after `after` are no longer kept */
  read: (query: { after: number; limit: number; type?: ChangeType[] }) => Promise<ChangesPage>
}

/** A part of the change log, the latest change first. */
export interface ChangesPart {
  changes: Change[]
  /** Their type; undefined for all. */
  type: ChangeType | undefined
  /** The changes that were looked at, whatever their type. */
  window: Window
  /** The number of the last change on the next page; null if there are no older changes. */
  next: string | null
}

/**
 * Reads the changes up to a number, or the latest ones.
 *
 * @param to undefined for the latest
 * @param type the type to show; undefined for all
 */
export async function readChanges(
  { lastChangeNo, read }: ChangeCalls,
  to: number | undefined,
  type: ChangeType | undefined,
): Promise<ChangesPart> {
  const wanted = windowUpTo(to ?? (await lastChangeNo()), type !== undefined)
  try {
    const next = wanted.after === 0 ? null : String(wanted.after)
    return { ...(await readWindow(wanted)), type, next }
  } catch (error) {
    if (!hasCode(error, 'changes_pruned')) throw error
    const kept = retainedPart(wanted, error.problem.oldest)
    return { ...(await readWindow(kept)), type, next: null }
  }

  async function readWindow(window: Window): Promise<Pick<ChangesPart, 'changes' | 'window'>> {
    const limit = window.to - window.after
    if (limit === 0) return { changes: [], window }
    const query = { after: window.after, limit, ...(type !== undefined && { type: [type] }) }
    const { changes } = await read(query)
    // With a type, the API goes on after the window until the page is full.
    return { changes: changes.filter(({ no }) => no <= window.to).reverse(), window }
  }
}
