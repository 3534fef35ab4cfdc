/** Closes what a process has opened: in reverse order, each part once. */
export interface Closers {
  /** Registers how to close a part that has just been opened. */
  push(name: string, close: () => Promise<unknown> | unknown): void
  /** Runs all closers, even if some of them fail. A second call waits for the first. */
  closeAll(): Promise<void>
}

/** @param onError Called with the name and the error of a closer that failed. */
export function createClosers(onError: (name: string, error: unknown) => void): Closers {
  const closers: { name: string; close: () => Promise<unknown> | unknown }[] = []
  let closing: Promise<void> | undefined

  async function run(): Promise<void> {
    for (let entry = closers.pop(); entry !== undefined; entry = closers.pop()) {
      try {
        await entry.close()
      } catch (error) {
        onError(entry.name, error)
      }
    }
  }

  return {
    push(name, close) {
      closers.push({ name, close })
    },
    closeAll() {
      closing ??= run()
      return closing
    },
  }
}
