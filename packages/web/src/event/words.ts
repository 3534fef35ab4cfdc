import type { Format } from '../format.js'

/** How the page of an event writes numbers and times. */
export interface Words extends Pick<Format, 'number' | 'duration'> {
  /** `6:30 PM`, or `Jan 31, 6:30 PM` if that is not today. */
  moment(time: string): string
  /** The same with its preposition: `at 6:30 PM`, `on Jan 31, 6:30 PM`. */
  when(time: string): string
  /** `17th`. */
  ordinal(value: number): string
  /** A time that is only estimated: `40 seconds`, `3 minutes`. */
  estimate(seconds: number): string
}

const ORDINALS = new Intl.PluralRules('en', { type: 'ordinal' })
const SUFFIXES: Partial<Record<Intl.LDMLPluralRule, string>> = { one: 'st', two: 'nd', few: 'rd' }

/** @param nowMs the server's clock */
export function wordsOf(format: Format, nowMs: number): Words {
  const { number, duration } = format
  const moment = (time: string): string => format.until(time, nowMs)
  return {
    number,
    duration,
    moment,
    when: (time) => `${moment(time) === format.time(time) ? 'at' : 'on'} ${moment(time)}`,
    ordinal: (value) => `${number(value)}${SUFFIXES[ORDINALS.select(value)] ?? 'th'}`,
    estimate(seconds) {
      const unit = seconds < 90 ? 5 : 60
      return duration(Math.max(1, Math.ceil(seconds / unit)) * unit)
    },
  }
}
