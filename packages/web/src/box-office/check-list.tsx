export interface CheckListProps<Value extends string> {
  legend: string
  hint?: string
  /** The name of the checkboxes in the data of the form. */
  name: string
  /** The value of each checkbox, and the text beside it. */
  options: Readonly<Record<Value, string>>
  /** The checkboxes that are checked at first. */
  checked?: readonly Value[]
}

/** Checkboxes that belong together. Each also shows its value in the API. */
export function CheckList<Value extends string>(props: CheckListProps<Value>) {
  const { legend, hint, name, options, checked = [] } = props
  return (
    <fieldset>
      <legend>{legend}</legend>
      {hint !== undefined && <small>{hint}</small>}
      {(Object.entries(options) as [Value, string][]).map(([value, text]) => (
        <label key={value}>
          <input
            type="checkbox"
            name={name}
            value={value}
            defaultChecked={checked.includes(value)}
          />
          {/* Pico would take a `small` beside an input for its hint, and move it. */}
          <span>
            {text} <small>({value})</small>
          </span>
        </label>
      ))}
    </fieldset>
  )
}
