import { hasCode } from '@ticket-line/client'
import { useEffect, useState } from 'preact/hooks'
import { client } from '../../api.js'
import { readEvent, type TaggedEvent } from '../../read-event.js'
import { useAction } from '../../use-action.js'
import type { EventViewProps } from '../event-view.js'
import { type Done, Notice } from '../notice.js'
import { capacityNote } from '../sale-text.js'
import {
  type Conflict,
  isChanged,
  rebaseDraft,
  type SettingsDraft,
  startDraft,
  wordsOf,
} from './draft.js'
import { DetailFields, HoldFields, ListFields, SaleFields } from './event-fields.js'
import { type EventForm, FIELD_LABELS, patchOf } from './event-form.js'
import { FormFailure, useFormErrors } from './form-errors.js'
import { visitorTimeZone } from './zoned-time.js'

/** What the user's last click has led to. */
type Result =
  | { kind: 'none' }
  | { kind: 'done'; done: Done }
  /** Somebody else saved other settings meanwhile. Nothing of the draft was saved. */
  | { kind: 'overtaken' }

/** All settings of an event. */
export function Settings({
  event,
  etag,
  onDecided,
  draft,
  onDraft,
}: EventViewProps & {
  draft: SettingsDraft | undefined
  onDraft: (draft: SettingsDraft | undefined) => void
}) {
  const zone = visitorTimeZone()
  const shown = draft ?? startDraft({ event, etag }, zone)
  const { base, form, conflicts } = shown
  const [result, setResult] = useState<Result>({ kind: 'none' })
  const isDirty = isChanged(base, form)
  useWarning(isDirty)

  const save = useAction(async () => {
    setResult({ kind: 'none' })
    const patch = patchOf(base, form, zone)
    if (Object.keys(patch).length === 0) {
      onDraft(undefined)
      return finish('There is nothing to save.')
    }
    try {
      // The next change needs the new tag. With the old one, the API would take this change for
      // that of somebody else.
      await onDecided(await client.configure(event.eventId, patch, { ifMatch: shown.etag }))
      onDraft(undefined)
      finish('The settings are saved.')
    } catch (error) {
      if (!hasCode(error, 'version_mismatch')) throw error
      onDraft(rebaseDraft(shown, await readEvent(event.eventId), zone))
      setResult({ kind: 'overtaken' })
    }
  })
  const { ref, errors, onSubmit } = useFormErrors(form, save, base)
  const committed = hasCode(save.error, 'capacity_below_committed')
    ? save.error.problem.committed
    : undefined

  function finish(text: string): void {
    setResult({ kind: 'done', done: { text } })
  }
  function change(part: Partial<EventForm>): void {
    setResult({ kind: 'none' })
    const settled = conflicts.filter(({ field }) => !(field in part))
    onDraft({ ...shown, form: { ...form, ...part }, conflicts: settled })
  }
  function undo(): void {
    save.reset()
    onDraft(undefined)
    finish('Your changes are undone.')
  }
  const props = { form, errors, onChange: change }
  if (event.state === 'canceled')
    return <p>The event is canceled. Its settings cannot be changed any more.</p>
  return (
    <form ref={ref} onSubmit={onSubmit}>
      <fieldset>
        <legend>
          <h3>Tickets and sale</h3>
        </legend>
        <SaleFields
          {...props}
          capacity={<Capacity event={event} form={form} committed={committed} onChange={change} />}
        />
      </fieldset>
      <fieldset>
        <legend>
          <h3>Waiting list</h3>
        </legend>
        <ListFields {...props} />
      </fieldset>
      <fieldset>
        <legend>
          <h3>Holds</h3>
        </legend>
        <p>A change is for tickets that are held from then on.</p>
        <HoldFields {...props} />
      </fieldset>
      <fieldset>
        <legend>
          <h3>Event</h3>
        </legend>
        <DetailFields {...props} />
      </fieldset>
      <div class="save-bar">
        {result.kind === 'overtaken' && <Overtaken conflicts={conflicts} onChange={change} />}
        <FormFailure error={save.error} errors={errors} />
        <Notice done={result.kind === 'done' ? result.done : undefined} />
        <p class="actions">
          <button type="submit" aria-busy={save.isRunning}>
            Save
          </button>
          {isDirty && (
            <button type="button" class="secondary outline" onClick={undo}>
              Undo my changes
            </button>
          )}
        </p>
      </div>
    </form>
  )
}

/** What the number of tickets in the form will do, and a checkbox to let the event shrink. */
function Capacity({
  event,
  form,
  committed,
  onChange,
}: {
  event: TaggedEvent['event']
  form: EventForm
  committed: number | undefined
  onChange: (change: Partial<EventForm>) => void
}) {
  const wanted = form.totalTickets.trim() === '' ? Number.NaN : Number(form.totalTickets)
  const note = capacityNote(event, wanted, committed)
  if (note.kind === 'same') return null
  return (
    <>
      <p role="status">{note.text}</p>
      {(note.kind === 'needs_shrink' || form.shrink) && (
        <label>
          <input
            type="checkbox"
            checked={form.shrink}
            onChange={({ currentTarget }) => onChange({ shrink: currentTarget.checked })}
          />
          {FIELD_LABELS.shrink}
        </label>
      )}
    </>
  )
}

function Overtaken({
  conflicts,
  onChange,
}: {
  conflicts: readonly Conflict[]
  onChange: (change: Partial<EventForm>) => void
}) {
  return (
    <div class="failure" role="alert">
      <p>
        Somebody else has changed the settings since you opened them, so nothing was saved. The form
        shows their changes and yours. Check it, and save again.
      </p>
      {conflicts.length > 0 && (
        <>
          <p>You both changed:</p>
          <ul>
            {conflicts.map(({ field, theirs }) => (
              <li key={field}>
                {FIELD_LABELS[field]}: they chose {wordsOf(theirs)}.{' '}
                <button
                  type="button"
                  class="secondary outline small"
                  onClick={() => onChange({ [field]: theirs })}
                >
                  Take {wordsOf(theirs)}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}

/** Makes the browser ask before it closes a page that has unsaved changes. */
function useWarning(isDirty: boolean): void {
  useEffect(() => {
    if (!isDirty) return
    const warn = (event: Event): void => event.preventDefault()
    addEventListener('beforeunload', warn)
    return () => removeEventListener('beforeunload', warn)
  }, [isDirty])
}
