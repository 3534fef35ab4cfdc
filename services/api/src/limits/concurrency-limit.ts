/** At most `max` of something at once. */
export interface ConcurrencyLimit {
  /** Takes a place. False if none is free. */
  enter(): boolean
  /** Gives a place back. */
  leave(): void
  /** Takes a place even if none is free, for something that had one before. */
  enterAgain(): void
  /** Places that are taken. */
  count(): number
}

export function createConcurrencyLimit(max: number): ConcurrencyLimit {
  let count = 0
  return {
    enter() {
      if (count >= max) return false
      count++
      return true
    },
    leave: () => void count--,
    enterAgain: () => void count++,
    count: () => count,
  }
}
