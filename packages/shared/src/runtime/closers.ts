/** Closes what was opened, in reverse order, each once, whatever the others do. */
export interface Closers {
  /** Registers how to close something that has just been opened. */
  push(name: string, close: () => Promise<unknown> | unknown): void
  /** Runs all closers; a second call waits for the first. Failures go to `onError` and stop nothing. */
  closeAll(): Promise<void>
}

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
