import type { ComponentChildren } from 'preact'

export interface TableProps {
  /** Says what the table lists, for screen readers. */
  caption: string
  headings: readonly string[]
  /** The index of the column that needs the most space. Default: the first. */
  wide?: number
  /** The first cell of a row says what the row is about. */
  rows: readonly { key: string | number; cells: readonly ComponentChildren[] }[]
}

/** A table that fits on a phone: on narrow screens each row becomes a block. */
export function Table({ caption, headings, wide = 0, rows }: TableProps) {
  return (
    <table class="rows">
      <caption class="visually-hidden">{caption}</caption>
      <colgroup>
        {headings.map((heading, index) => (
          <col key={heading} class={index === wide ? 'wide' : undefined} />
        ))}
      </colgroup>
      <thead>
        <tr>
          {headings.map((heading) => (
            <th key={heading} scope="col">
              {heading}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, cells }) => (
          <tr key={key}>
            {cells.map((cell, index) => {
              const heading = headings[index]
              return index === 0 ? (
                <th key={heading} scope="row">
                  {cell}
                </th>
              ) : (
                <td key={heading} data-heading={heading}>
                  {cell}
                </td>
              )
            })}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
