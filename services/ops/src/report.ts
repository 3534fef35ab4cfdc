/** The exit codes of the tool. Scripts and probes may rely on the numbers. */
export const EXIT = {
  /** Everything is as it should be. */
  fine: 0,
  /** Something was found, or did not happen in time. The report says what. */
  found: 1,
  /** The command line or a setting cannot be used. */
  usage: 2,
  /** A server is out of reach, or it failed. */
  unreachable: 3,
  /** The tool itself failed. */
  bug: 4,
} as const

/** The result of a command, for a program and for a person. */
export interface Report {
  exitCode: number
  /** Printed with `--json`, on one line. */
  data: Record<string, unknown>
  /** The lines that are printed without `--json`. */
  text: string[]
}

/** Pads the columns of a small table. */
export function table(rows: string[][]): string[] {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
