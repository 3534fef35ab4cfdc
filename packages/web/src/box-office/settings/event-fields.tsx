import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { Field } from '../../ui/index.js'
import {
  DURATION_UNITS,
  type Duration,
  type DurationUnit,
  type EventForm,
  FIELD_LABELS,
  type FormErrors,
  type FormField,
} from './event-form.js'
import { visitorTimeZone } from './zoned-time.js'

export interface EventFieldsProps {
  form: EventForm
  errors: FormErrors
  onChange(change: Partial<EventForm>): void
}

/** Length of a time without seconds, such as `2030-01-31T20:00`. */
const MINUTES_LENGTH = 16

type FieldsOf<Value> = {
  [Field in FormField]: EventForm[Field] extends Value ? Field : never
}[FormField]

/** What the event is. */
export function DetailFields(props: EventFieldsProps) {
  const zones = useId()
  return (
    <>
      <Text {...props} field="name" maxLength={200} />
      <Text {...props} field="venue" maxLength={200} />
      <Text {...props} field="url" type="url" maxLength={2000} hint="Where people read more." />
      <div class="grid">
        <Text {...props} field="startsAt" type="datetime-local" />
        <Text {...props} field="endsAt" type="datetime-local" />
      </div>
      <Text
        {...props}
        field="timezone"
        list={zones}
        hint={`The times of this form are in this time zone. Empty: in yours, ${visitorTimeZone()}.`}
      />
      <datalist id={zones}>
        {Intl.supportedValuesOf('timeZone').map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
      <Check {...props} field="listed" />
    </>
  )
}

/** How many tickets there are, and when they can be booked. */
export function SaleFields(props: EventFieldsProps & { capacity?: ComponentChildren }) {
  return (
    <>
      <Text
        {...props}
        field="totalTickets"
        type="number"
        min={0}
        max={1_000_000}
        required
        hint="With 0, there is only a waiting list."
      />
      {props.capacity}
      <div class="grid">
        <Text
          {...props}
          field="opensAt"
          type="datetime-local"
          hint="Empty: the sale is open from the beginning."
        />
        <Text
          {...props}
          field="closesAt"
          type="datetime-local"
          hint="Empty: the sale does not end by itself."
        />
      </div>
      <Choice
        {...props}
        field="sales"
        options={{ open: 'open', paused: 'paused' }}
        hint="While the sale is paused, nobody can book. People can still cancel."
      />
    </>
  )
}

/** Whether tickets are held before they are booked. */
export function HoldFields(props: EventFieldsProps) {
  return (
    <>
      <DurationField
        {...props}
        field="hold"
        hint="Empty: a ticket is booked at once. Otherwise it must be confirmed in this time."
      />
      <DurationField
        {...props}
        field="offer"
        hint="How long people from the waiting list have to confirm. Empty: as long as other tickets are held."
      />
      <DurationField
        {...props}
        field="maxHold"
        hint="With all its extensions. Empty: twice its first length."
      />
      <Choice
        {...props}
        field="confirmation"
        options={{ holder: 'the person who holds the ticket', staff: 'only staff and API keys' }}
        hint="If tickets must be paid for, only staff may confirm."
      />
    </>
  )
}

/** Who may wait, and what becomes of tickets that come back. */
export function ListFields(props: EventFieldsProps) {
  return (
    <>
      <Text
        {...props}
        field="maxWaiting"
        type="number"
        min={0}
        hint="Number of people. Empty: no limit. With 0, there is no waiting list."
      />
      <Choice
        {...props}
        field="promotion"
        options={{ on: 'on', off: 'off' }}
        hint="While it is on, a ticket that comes back goes to the first person on the list."
      />
    </>
  )
}

interface InputOptions {
  type?: 'text' | 'url' | 'number' | 'datetime-local'
  hint?: string
  min?: number
  max?: number
  maxLength?: number
  required?: boolean
  list?: string
}

function Text({
  form,
  errors,
  onChange,
  field,
  ...input
}: EventFieldsProps & InputOptions & { field: FieldsOf<string> }) {
  const value = form[field]
  return (
    <Field
      {...input}
      label={FIELD_LABELS[field]}
      name={field}
      problem={errors.get(field)}
      // A time that was not set here may have seconds.
      step={input.type === 'datetime-local' && value.length > MINUTES_LENGTH ? 1 : undefined}
      value={value}
      onInput={({ currentTarget }) => onChange({ [field]: currentTarget.value })}
    />
  )
}

function DurationField({
  form,
  errors,
  onChange,
  field,
  hint,
}: EventFieldsProps & { field: FieldsOf<Duration>; hint: string }) {
  const value = form[field]
  const change = (part: Partial<Duration>): void => onChange({ [field]: { ...value, ...part } })
  return (
    <Labeled field={field} hint={hint} problem={errors.get(field)}>
      {(attributes) => (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset would need a legend of its own
        <div role="group">
          <input
            {...attributes}
            type="number"
            min={0}
            step="any"
            value={value.amount}
            onInput={({ currentTarget }) => change({ amount: currentTarget.value })}
          />
          <select
            aria-label={`Unit of “${FIELD_LABELS[field]}”`}
            value={value.unit}
            onChange={({ currentTarget }) => change({ unit: currentTarget.value as DurationUnit })}
          >
            {DURATION_UNITS.map((unit) => (
              <option key={unit}>{unit}</option>
            ))}
          </select>
        </div>
      )}
    </Labeled>
  )
}

function Choice<Field extends 'sales' | 'confirmation' | 'promotion'>({
  form,
  errors,
  onChange,
  field,
  options,
  hint,
}: EventFieldsProps & {
  field: Field
  options: Record<EventForm[Field], string>
  hint: string
}) {
  return (
    <Labeled field={field} hint={hint} problem={errors.get(field)}>
      {(attributes) => (
        <select
          {...attributes}
          value={form[field]}
          onChange={({ currentTarget }) => onChange({ [field]: currentTarget.value })}
        >
          {Object.entries<string>(options).map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Labeled>
  )
}

function Check({ form, onChange, field }: EventFieldsProps & { field: FieldsOf<boolean> }) {
  return (
    <label>
      <input
        type="checkbox"
        checked={form[field]}
        onChange={({ currentTarget }) => onChange({ [field]: currentTarget.checked })}
      />
      {FIELD_LABELS[field]}
    </label>
  )
}

interface ControlAttributes {
  id: string
  name: FormField
  'aria-describedby': string
  'aria-invalid': 'true' | undefined
}

/** Like `Field`, for controls other than an input. */
function Labeled({
  field,
  hint,
  problem,
  children,
}: {
  field: FormField
  hint: string
  problem: string | undefined
  children: (attributes: ControlAttributes) => ComponentChildren
}) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{FIELD_LABELS[field]}</label>
      {children({
        id,
        name: field,
        'aria-describedby': `${id}-note`,
        'aria-invalid': problem === undefined ? undefined : 'true',
      })}
      <small id={`${id}-note`}>{problem ?? hint}</small>
    </div>
  )
}
