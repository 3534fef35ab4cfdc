import type { JobReply } from '@ticket-line/shared'
import type { Random } from '../random.ts'
import type { Clock, SimProcess } from './clock.ts'

/** The streams of Redis: wake-ups for all workers, and replies for one API process. */
export interface Streams {
  /** Probabilities that an entry is lost, late or delivered twice. */
  faults: { lose: number; delay: number; repeat: number }
  onWakeUps(process: SimProcess, onWakeUp: (lineName: string) => void): void
  wakeUp(lineName: string): void
  onReplies(replyTo: string, process: SimProcess, onReply: (reply: JobReply) => void): void
  reply(replyTo: string, reply: JobReply): void
  forget(process: SimProcess): void
}

export function createStreams(clock: Clock, random: Random): Streams {
  const faults = { lose: 0, delay: 0, repeat: 0 }
  const wakeUpReaders = new Map<SimProcess, (lineName: string) => void>()
  const replyReaders = new Map<
    string,
    { process: SimProcess; onReply: (reply: JobReply) => void }
  >()

  function deliver(process: SimProcess, run: () => void): void {
    const times = random.chance(faults.repeat) ? 2 : 1
    for (let i = 0; i < times; i++) {
      if (random.chance(faults.lose)) continue
      const lateMs = random.chance(faults.delay) ? random.between(50, 4000) : 0
      clock.after(0.2 + random.next() * 2 + lateMs, process, run)
    }
  }

  return {
    faults,
    onWakeUps: (process, onWakeUp) => void wakeUpReaders.set(process, onWakeUp),
    wakeUp(lineName) {
      for (const [process, onWakeUp] of wakeUpReaders) deliver(process, () => onWakeUp(lineName))
    },
    onReplies: (replyTo, process, onReply) => void replyReaders.set(replyTo, { process, onReply }),
    reply(replyTo, reply) {
      const reader = replyReaders.get(replyTo)
      if (reader !== undefined) deliver(reader.process, () => reader.onReply(reply))
    },
    forget: (process) => void wakeUpReaders.delete(process),
  }
}
