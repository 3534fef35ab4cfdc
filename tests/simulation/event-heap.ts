/** Things to come, the next of them first. */
export interface EventHeap<E extends HeapEvent> {
  push(event: E): void
  pop(): E | undefined
  first(): E | undefined
}

export interface HeapEvent {
  atMs: number
  /** Decides between events of the same moment. */
  order: number
}

export function createEventHeap<E extends HeapEvent>(): EventHeap<E> {
  const heap: E[] = []

  /** Moves the event up from a free place until its parent comes before it. */
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

  /** Moves the event down from the top until it comes before its children. */
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
