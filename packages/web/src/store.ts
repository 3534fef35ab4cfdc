import { useEffect, useState } from 'preact/hooks'

/** A value that components follow. */
export interface Store<T> {
  get(): T
  set(value: T): void
  /** @returns a function that ends the subscription */
  subscribe(listener: () => void): () => void
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial
  const listeners = new Set<() => void>()
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** The present value of a store. The component is rendered again when it changes. */
export function useStore<T>(store: Pick<Store<T>, 'get' | 'subscribe'>): T {
  const [value, setValue] = useState(() => ({ of: store.get() }))
  useEffect(() => {
    const update = (): void => {
      const present = store.get()
      setValue((shown) => (Object.is(shown.of, present) ? shown : { of: present }))
    }
    // The value may have changed between the first rendering and this effect.
    update()
    return store.subscribe(update)
  }, [store])
  return value.of
}
