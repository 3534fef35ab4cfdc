/** Row locks of events, granted in the order of the requests. */
export interface EventLocks {
  /** Locks the events one after the other. `done` is called when all are locked. */
  acquire(holder: LockHolder, eventIds: number[], done: () => void): void
  release(holder: LockHolder): void
  /** Whether none of the events is locked. */
  areFree(eventIds: number[]): boolean
}

export interface LockHolder {
  state: 'open' | 'committed' | 'ended'
  locks: Set<number>
}

interface Waiting {
  holder: LockHolder
  grant: () => void
}

export function createEventLocks(): EventLocks {
  const holders = new Map<number, LockHolder>()
  const queues = new Map<number, Waiting[]>()

  function take(holder: LockHolder, eventId: number): void {
    holders.set(eventId, holder)
    holder.locks.add(eventId)
  }

  function acquire(holder: LockHolder, [eventId, ...others]: number[], done: () => void): void {
    if (eventId === undefined) {
      done()
      return
    }
    const grant = (): void => {
      take(holder, eventId)
      acquire(holder, others, done)
    }
    if (holders.has(eventId))
      queues.set(eventId, [...(queues.get(eventId) ?? []), { holder, grant }])
    else grant()
  }

  return {
    acquire,
    areFree: (eventIds) => !eventIds.some((eventId) => holders.has(eventId)),
    release(holder) {
      const freed = [...holder.locks]
      holder.locks.clear()
      for (const eventId of freed) {
        holders.delete(eventId)
        const queue = queues.get(eventId) ?? []
        let next = queue.shift()
        // A session that has ended no longer needs the lock.
        while (next !== undefined && next.holder.state !== 'open') next = queue.shift()
        next?.grant()
      }
    },
  }
}
