import { every } from '@ticket-line/shared'

export interface Step {
  label: string
  /** How long the step takes if the machine is not busy, ms. */
  plannedMs: number
}

/** Shows how far a sequence of steps is: with a bar in a terminal, with plain lines elsewhere. */
export interface Progress {
  /** The next step begins. */
  begin(): void
  /** The step has ended. Prints a line about it. */
  end(line: string): void
  /** Removes the bar. */
  stop(): void
}

const WIDTH = 24
const REDRAW_MS = 500
/** Returns to the start of the line and clears it. */
const CLEAR = '\r\x1b[K'

export function createProgress(
  steps: Step[],
  output: Pick<NodeJS.WriteStream, 'write' | 'isTTY'> = process.stdout,
): Progress {
  let ended = 0
  let startedAt = performance.now()
  const startedAllAt = startedAt

  function draw(): void {
    const step = steps[ended]
    if (step === undefined) return
    const inStep = performance.now() - startedAt
    const { fraction, leftMs } = estimate(steps, ended, inStep, startedAt - startedAllAt)
    const percent = `${Math.floor(fraction * 100)} %`.padStart(4)
    output.write(
      `${CLEAR}${progressBar(fraction, WIDTH)} ${percent}  ${minutes(leftMs)} left  ${step.label}`,
    )
  }

  const loop = output.isTTY ? every(REDRAW_MS, draw, { onError: () => undefined }) : undefined
  return {
    begin() {
      startedAt = performance.now()
      if (output.isTTY) draw()
    },
    end(line) {
      ended += 1
      output.write(output.isTTY ? `${CLEAR}${line}\n` : `${ended}/${steps.length} ${line}\n`)
    },
    stop() {
      void loop?.stop()
      if (output.isTTY) output.write(CLEAR)
    },
  }
}

/**
 * Estimates how far a sequence of steps is. The rest is expected to be as much slower than planned
 * as the steps that have ended.
 *
 * @param ended how many steps have ended
 * @param inStepMs how long the current one has run
 * @param endedMs how long those that have ended took together
 */
export function estimate(
  steps: Step[],
  ended: number,
  inStepMs: number,
  endedMs: number,
): { fraction: number; leftMs: number } {
  const planned = (some: Step[]) => some.reduce((sum, { plannedMs }) => sum + plannedMs, 0)
  const all = planned(steps)
  const before = planned(steps.slice(0, ended))
  const slowness = before === 0 ? 1 : endedMs / before
  const current = Math.min(inStepMs / slowness, steps[ended]?.plannedMs ?? 0)
  const done = before + current
  return { fraction: done / all, leftMs: (all - done) * slowness }
}

/** A bar of the given width in characters. */
export function progressBar(fraction: number, width: number): string {
  const filled = Math.round(fraction * width)
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`
}

/** 4:05 */
function minutes(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
