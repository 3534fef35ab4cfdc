/** Shows progress as a bar on a terminal, otherwise as one line for each quarter. */
export interface Progress {
  /** Called when one more is done. */
  tick(): void
}

const width = 32

export function createProgress(
  what: string,
  total: number,
  out: NodeJS.WriteStream | undefined,
): Progress {
  let done = 0
  let drawnAt = 0
  return {
    tick() {
      done++
      if (out === undefined) return
      const share = done / total
      if (!out.isTTY) {
        if (done === total || done % Math.ceil(total / 4) === 0)
          out.write(`${what}: ${Math.round(share * 100)} %\n`)
        return
      }
      const now = performance.now()
      if (done < total && now - drawnAt < 50) return
      drawnAt = now
      const full = Math.round(share * width)
      const bar = '█'.repeat(full) + '░'.repeat(width - full)
      out.write(
        `\r${what.padEnd(8)} ${bar} ${String(done).padStart(String(total).length)}/${total}${done === total ? '\n' : ''}`,
      )
    },
  }
}
