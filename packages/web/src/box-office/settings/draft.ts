import type { TaggedEvent } from '../../read-event.js'
import { type EventForm, type FormField, formOf } from './event-form.js'

/** Changes of settings that are not saved yet. */
export interface SettingsDraft {
  /** The form before the changes. */
  base: EventForm
  form: EventForm
  /** Names the version that the changes are for. */
  etag: string
  /** What somebody else changed as well. */
  conflicts: readonly Conflict[]
}

/** A field that two people changed at the same time. */
export interface Conflict {
  field: FormField
  theirs: EventForm[FormField]
}

/** Begins with the settings as they are. */
export function startDraft({ event, etag }: TaggedEvent, zone: string): SettingsDraft {
  const base = formOf(event, zone)
  return { base, form: base, etag, conflicts: [] }
}

/** Brings a draft up to date with settings that somebody else saved. */
export function rebaseDraft(
  draft: SettingsDraft,
  tagged: TaggedEvent,
  zone: string,
): SettingsDraft {
  const base = formOf(tagged.event, zone)
  return { base, etag: tagged.etag, ...mergeForms(draft.base, draft.form, base) }
}

/** Whether the organizer has changed anything. */
export function isChanged(base: EventForm, form: EventForm): boolean {
  return (Object.keys(base) as FormField[]).some((field) => !isSame(base[field], form[field]))
}

/**
 * Brings the changes of an organizer together with those that somebody else saved meanwhile. A
 * field that both changed keeps what the organizer typed, and is reported.
 *
 * @param base the form that the organizer began with
 * @param mine the form with the organizer's changes
 * @param theirs the form of the event as it is now
 */
export function mergeForms(
  base: EventForm,
  mine: EventForm,
  theirs: EventForm,
): { form: EventForm; conflicts: Conflict[] } {
  const fields = Object.keys(base) as FormField[]
  const kept = fields.filter((field) => !isSame(base[field], mine[field]))
  const conflicts = kept
    .filter((field) => !isSame(base[field], theirs[field]) && !isSame(mine[field], theirs[field]))
    .map((field) => ({ field, theirs: theirs[field] }))
  const form = { ...theirs, ...Object.fromEntries(kept.map((field) => [field, mine[field]])) }
  return { form, conflicts }
}

/** The value of a field in words, for example of one that somebody else changed. */
export function wordsOf(value: EventForm[FormField]): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string')
    return value === '' ? 'nothing' : value.replace(/^(\d{4}-\d\d-\d\d)T/, '$1 ')
  return value.amount === '' ? 'nothing' : `${value.amount} ${value.unit}`
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
