import type { JobReply } from '@ticket-line/shared'
import type { Random } from '../random.ts'
import type { Clock, SimProcess } from './clock.ts'

/** The streams of Redis: wake-ups for all workers, and replies for one API process. */
export interface Streams {
  /** Probabilities that an entry is lost, late or delivered twice. */
  troubles: { lose: number; delay: number; repeat: number }
  onNotes(process: SimProcess, onNote: (lineName: string) => void): void
  note(lineName: string): void
  onReplies(replyTo: string, process: SimProcess, onReply: (reply: JobReply) => void): void
  reply(replyTo: string, reply: JobReply): void
  forget(process: SimProcess): void
}

export function createStreams(clock: Clock, random: Random): Streams {
  const troubles = { lose: 0, delay: 0, repeat: 0 }
  const noted = new Map<SimProcess, (lineName: string) => void>()
  const replied = new Map<string, { process: SimProcess; onReply: (reply: JobReply) => void }>()

  function deliver(process: SimProcess, run: () => void): void {
    const times = random.chance(troubles.repeat) ? 2 : 1
    for (let i = 0; i < times; i++) {
      if (random.chance(troubles.lose)) continue
      const lateMs = random.chance(troubles.delay) ? random.between(50, 4000) : 0
      clock.after(0.2 + random.next() * 2 + lateMs, process, run)
    }
  }

  return {
    troubles,
    onNotes: (process, onNote) => void noted.set(process, onNote),
    note(lineName) {
      for (const [process, onNote] of noted) deliver(process, () => onNote(lineName))
    },
    onReplies: (replyTo, process, onReply) => void replied.set(replyTo, { process, onReply }),
    reply(replyTo, reply) {
      const reader = replied.get(replyTo)
      if (reader !== undefined) deliver(reader.process, () => reader.onReply(reply))
    },
    forget: (process) => void noted.delete(process),
  }
}
