import { MAX_COMMANDS_PER_JOB } from '@ticket-line/shared'

/**
 * How many jobs of a line one process keeps in flight. While workers decide them, further commands
 * gather for the next job.
 */
const JOBS_IN_FLIGHT = 2
/**
 * While a job of the line is in flight, a second one is sent only if it has at least this many
 * commands. A smaller one costs more than it gains.
 */
const SECOND_JOB_COMMANDS = 32
/** Up to this many commands stay in one job, because two jobs of half the size would cost more. */
const UNDIVIDED_COMMANDS = 64

/**
 * True if a job of a line may be sent now.
 *
 * @param held how many commands the line holds
 * @param inFlight how many of its jobs are in flight
 */
export function maySend(held: number, inFlight: number): boolean {
  if (inFlight === 0) return held > 0
  return inFlight < JOBS_IN_FLIGHT && held >= SECOND_JOB_COMMANDS
}

/**
 * Decides which jobs of a line are sent now: none, one or two.
 *
 * A quiet line sends each command at once, in a job of its own. A busy line sends the commands that
 * arrived while its jobs were being decided. Under load, two jobs are in flight, each with half of
 * the commands. Without the split, clients that send their next request after each response keep
 * arriving in the same groups (240 commands in one job, 16 in the next), and the worker idles
 * between the jobs.
 *
 * @param held how many commands the line holds
 * @param inFlight sizes of its jobs in flight
 * @returns sizes of the jobs to send, in order
 */
export function planJobs(held: number, inFlight: readonly number[]): number[] {
  // The sum stays the same when a job is sent, so all jobs of a plan have the same share.
  const commands = inFlight.reduce((sum, size) => sum + size, held)
  const share = Math.max(Math.ceil(commands / JOBS_IN_FLIGHT), UNDIVIDED_COMMANDS)
  const largest = Math.min(share, MAX_COMMANDS_PER_JOB)
  const sizes: number[] = []
  let left = held
  while (maySend(left, inFlight.length + sizes.length)) {
    const size = Math.min(left, largest)
    sizes.push(size)
    left -= size
  }
  return sizes
}

export interface CommandBatcherDeps<Command> {
  /**
   * Called with the commands of one job of a line, in order. The job counts as in flight until
   * `jobEnded` is called. The callback must not throw.
   */
  onSend: (lineName: string, commands: Command[]) => void
  /** Maximum time that a command is held, ms. */
  holdMs: number
  setTimer: (run: () => void, ms: number) => { cancel: () => void }
  /** Runs a callback after the event loop has read everything that has already arrived. */
  soon: (run: () => void) => void
}

/** Gathers the commands of each line into jobs. */
export interface CommandBatcher<Command> {
  /** Adds a command behind all others of its line. */
  add(lineName: string, command: Command): void
  /** Sends all held commands of a line now, in order. */
  flush(lineName: string): void
  /** Tells the batcher that a job of a line is no longer in flight. */
  jobEnded(lineName: string): void
  /** The lines that hold commands, or have jobs in flight. */
  lineNames(): string[]
  /** All commands that are held now. */
  held(): Iterable<Command>
  heldCount(): number
}

/** What the batcher keeps for a line that holds commands or has jobs in flight. */
interface BatchedLine<Command> {
  held: Command[]
  /**
   * Size of each job in flight, in the order of sending. Jobs end in this order, except after
   * faults.
   */
  inFlight: number[]
  /** True while a plan has been requested and not yet made. */
  isPlanning: boolean
  /** Sends the held commands when it fires. A plan or a flush that leaves none cancels it. */
  holdTimer: { cancel: () => void } | undefined
}

/**
 * Holds the commands of each line until a plan (`planJobs`) sends them. They are sent without a
 * plan when a full job has gathered (256 commands), after `holdMs`, or by `flush`. The commands of
 * a line are always sent in order.
 */
export function createCommandBatcher<Command>(
  deps: CommandBatcherDeps<Command>,
): CommandBatcher<Command> {
  const lines = new Map<string, BatchedLine<Command>>()

  function lineOf(lineName: string): BatchedLine<Command> {
    let line = lines.get(lineName)
    if (line === undefined) {
      line = { held: [], inFlight: [], isPlanning: false, holdTimer: undefined }
      lines.set(lineName, line)
    }
    return line
  }

  function send(lineName: string, line: BatchedLine<Command>, size: number): void {
    const commands = line.held.splice(0, size)
    line.inFlight.push(commands.length)
    deps.onSend(lineName, commands)
  }

  function flush(lineName: string): void {
    const line = lines.get(lineName)
    if (line === undefined) return
    while (line.held.length > 0) send(lineName, line, MAX_COMMANDS_PER_JOB)
    stopHolding(line)
  }

  function planSoon(lineName: string, line: BatchedLine<Command>): void {
    if (line.isPlanning) return
    line.isPlanning = true
    deps.soon(() => {
      line.isPlanning = false
      for (const size of planJobs(line.held.length, line.inFlight)) send(lineName, line, size)
      // A timer that runs for older commands keeps running.
      if (line.held.length > 0) hold(lineName, line)
      else stopHolding(line)
    })
  }

  function hold(lineName: string, line: BatchedLine<Command>): void {
    line.holdTimer ??= deps.setTimer(() => flush(lineName), deps.holdMs)
  }

  function stopHolding(line: BatchedLine<Command>): void {
    line.holdTimer?.cancel()
    line.holdTimer = undefined
  }

  return {
    add(lineName, command) {
      const line = lineOf(lineName)
      line.held.push(command)
      if (line.held.length >= MAX_COMMANDS_PER_JOB) flush(lineName)
      else if (maySend(line.held.length, line.inFlight.length)) planSoon(lineName, line)
      else hold(lineName, line)
    },
    flush,
    jobEnded(lineName) {
      const line = lines.get(lineName)
      if (line === undefined) return
      line.inFlight.shift()
      if (line.held.length > 0) planSoon(lineName, line)
      else if (line.inFlight.length === 0 && !line.isPlanning) lines.delete(lineName)
    },
    lineNames: () => [...lines.keys()],
    *held() {
      for (const { held } of lines.values()) yield* held
    },
    heldCount() {
      let count = 0
      for (const { held } of lines.values()) count += held.length
      return count
    },
  }
}
