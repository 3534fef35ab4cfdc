/** The ways to break a promise, as the last line of a run counts them. */
export type Broken = 'lost' | 'doubled' | 'oversold' | 'reordered' | 'wrongAnswers'

/** One broken promise, with what shows it. */
export interface Finding {
  promise: Broken
  text: string
}

export type Report = (promise: Broken, text: string) => void

/** Looks up lists by a key made of several parts. */
export function groupBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
