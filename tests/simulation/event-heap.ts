/** Future events, ordered by time. */
export interface EventHeap<E extends HeapEvent> {
  push(event: E): void
  pop(): E | undefined
  first(): E | undefined
}

export interface HeapEvent {
  atMs: number
  /** The order of events with the same time. */
  order: number
}

export function createEventHeap<E extends HeapEvent>(): EventHeap<E> {
  const heap: E[] = []

  /** Moves an event up from a free index until its parent is earlier. */
  function rise(event: E, from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent] as E)) break
      heap[at] = heap[parent] as E
      at = parent
    }
    heap[at] = event
  }

  /** Moves an event down from the top until its children are later. */
  function sink(event: E): void {
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1] as E, heap[child] as E)) child += 1
      if (!isBefore(heap[child] as E, event)) break
      heap[at] = heap[child] as E
      at = child
    }
    heap[at] = event
  }

  return {
    first: () => heap[0],
    push: (event) => rise(event, heap.length),
    pop() {
      const first = heap[0]
      const last = heap.pop()
      if (last !== undefined && heap.length > 0) sink(last)
      return first
    },
  }
}

function isBefore(a: HeapEvent, b: HeapEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
