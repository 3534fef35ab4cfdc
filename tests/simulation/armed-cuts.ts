/** The kinds of commands at which a connection can be cut. */
export const CUT_POINTS = [
  'count',
  'add',
  'mark',
  'fetch',
  'completion',
  'recovery',
  'COMMIT',
  'statement',
] as const
export type CutPoint = (typeof CUT_POINTS)[number]

/** `before` the server runs the command, or `after`, so that only the reply is lost. */
export type CutMoment = 'before' | 'after'

/** Cuts that happen when the next command of a kind reaches its server. */
export interface ArmedCuts {
  arm(point: CutPoint, cut: ArmedCut): void
  /** Called when a command reaches its server. @returns when to cut its connection, if at all */
  reach(point: CutPoint | undefined): CutMoment | undefined
}

export interface ArmedCut {
  /** Undefined if nothing is cut. */
  moment: CutMoment | undefined
  onReached: () => void
}

export function createArmedCuts(): ArmedCuts {
  const armed = new Map<CutPoint, ArmedCut[]>()
  return {
    arm(point, cut) {
      armed.set(point, [...(armed.get(point) ?? []), cut])
    },
    reach(point) {
      const cut = point === undefined ? undefined : armed.get(point)?.shift()
      cut?.onReached()
      return cut?.moment
    },
  }
}
