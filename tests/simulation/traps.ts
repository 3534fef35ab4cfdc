/** Where a connection can be cut on purpose: what the client asks for at that moment. */
export const PLACES = ['count', 'add', 'fetch', 'completion', 'COMMIT', 'statement'] as const
export type Place = (typeof PLACES)[number]

/** Cut before the server carries it out, or after, so that only the reply is lost. */
export type Moment = 'before' | 'after'

/** Faults that wait for their place to be reached; each springs once. */
export interface Traps {
  lay(place: Place, trap: Trap): void
  /** Tells that the place is reached. @returns when to cut, where a trap was laid there */
  spring(place: Place | undefined): Moment | undefined
}

export interface Trap {
  /** Undefined where nothing is cut. */
  moment: Moment | undefined
  onSprung: () => void
}

export function createTraps(): Traps {
  const laid = new Map<Place, Trap[]>()
  return {
    lay(place, trap) {
      laid.set(place, [...(laid.get(place) ?? []), trap])
    },
    spring(place) {
      const trap = place === undefined ? undefined : laid.get(place)?.shift()
      trap?.onSprung()
      return trap?.moment
    },
  }
}
