/** The ways to break a promise, as the last line of a run counts them. */
export type Broken = 'lost' | 'doubled' | 'oversold' | 'reordered' | 'wrongAnswers'

/** One broken promise, with what shows it. */
export interface Finding {
  promise: Broken
  text: string
}

export type Report = (promise: Broken, text: string) => void
