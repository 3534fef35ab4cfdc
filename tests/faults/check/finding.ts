/** The ways to break a promise, as the summary of a run counts them. */
export type Broken = 'lost' | 'doubled' | 'oversold' | 'reordered' | 'wrongAnswers'

/** A broken promise, with the evidence in words. */
export interface Finding {
  promise: Broken
  text: string
}

export type Report = (promise: Broken, text: string) => void
