/**
 * Formats numbers and times in the visitor's locale. Times are in the visitor's time zone. With the
 * `timezone` of an event, they are in that one, and name it if its clocks show another time.
 */
export interface Format {
  number(value: number): string
  /** `1 ticket`, `2,000 tickets`. */
  plural(count: number, one: string, other: string): string
  /** `Thursday, January 31, 2030`. */
  day(iso: string, timezone?: string | null): string
  /** `6:30 PM`. */
  time(iso: string, timezone?: string | null): string
  /** `Jan 31, 2030, 6:30 PM`. */
  moment(iso: string, timezone?: string | null): string
  /** `Thursday, January 31, 2030, 6:30 – 9:00 PM`. An unknown end is left out. */
  period(startIso: string, endIso: string | null, timezone?: string | null): string
  /** `6:30 PM` if that is today, otherwise with the day: `Jan 31, 6:30 PM`. */
  until(iso: string, nowMs: number): string
  /** `4:05` below an hour, `2 hours, 5 minutes` below a day, otherwise `3 days, 2 hours`. */
  timeLeft(ms: number): string
  /** In the largest unit of which it is a whole number: `90 seconds`, `10 minutes`, `1 day`. */
  duration(seconds: number): string
}

/** @param timezone of the visitor; default: that of the browser */
export function createFormat(locale?: string, timezone?: string): Format {
  const own = timezone ?? new Intl.DateTimeFormat(locale).resolvedOptions().timeZone
  const numbers = new Intl.NumberFormat(locale)
  const number = (value: number): string => numbers.format(value)

  function format(iso: string | number, options: Intl.DateTimeFormatOptions, zone = own): string {
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: zone }).format(new Date(iso))
  }

  function zoneOf(iso: string, zone: string | null | undefined) {
    if (zone === null || zone === undefined || !isTimeZone(zone)) return { zone: own, suffix: {} }
    const [there, here] = [zone, own].map((one) => format(iso, { timeZoneName: 'longOffset' }, one))
    return { zone, suffix: there === here ? {} : ({ timeZoneName: 'short' } as const) }
  }

  function unit(value: number, name: string): string {
    const style = { style: 'unit', unit: name, unitDisplay: 'long' } as const
    return new Intl.NumberFormat(locale, style).format(value)
  }

  return {
    number,
    plural: (count, one, other) => `${number(count)} ${count === 1 ? one : other}`,
    day(iso, zone) {
      const options = { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' } as const
      return format(iso, options, zoneOf(iso, zone).zone)
    },
    time(iso, timezone) {
      const { zone, suffix } = zoneOf(iso, timezone)
      return format(iso, { hour: 'numeric', minute: '2-digit', ...suffix }, zone)
    },
    moment(iso, timezone) {
      const { zone, suffix } = zoneOf(iso, timezone)
      const day = { year: 'numeric', month: 'short', day: 'numeric' } as const
      return format(iso, { ...day, hour: 'numeric', minute: '2-digit', ...suffix }, zone)
    },
    period(start, end, timezone) {
      const { zone, suffix } = zoneOf(start, timezone)
      const day = { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' } as const
      const time = { hour: 'numeric', minute: '2-digit', ...suffix } as const
      const whole = new Intl.DateTimeFormat(locale, { ...day, ...time, timeZone: zone })
      if (end === null || end < start) return whole.format(new Date(start))
      return whole.formatRange(new Date(start), new Date(end))
    },
    until(iso, nowMs) {
      const time = { hour: 'numeric', minute: '2-digit' } as const
      const [then, today] = [iso, nowMs].map((at) => format(at, { dateStyle: 'short' }))
      if (then === today) return format(iso, time)
      return format(iso, { month: 'short', day: 'numeric', ...time })
    },
    timeLeft(ms) {
      const seconds = Math.max(0, Math.ceil(ms / 1000))
      const [minutes, hours, days] = [60, 3600, 86_400].map((each) => Math.floor(seconds / each))
      if (hours === undefined || minutes === undefined || days === undefined || hours === 0)
        return `${minutes}:${String(seconds % 60).padStart(2, '0')}`
      const [large, small] =
        days === 0
          ? [unit(hours, 'hour'), unit(minutes % 60, 'minute')]
          : [unit(days, 'day'), unit(hours % 24, 'hour')]
      return `${large}, ${small}`
    },
    duration(seconds) {
      const [length, name] =
        UNITS.find(([length]) => seconds >= length && seconds % length === 0) ?? SECOND
      return unit(seconds / length, name)
    },
  }
}

const SECOND = [1, 'second'] as const
/** Units of time with their length, s. */
const UNITS = [[86_400, 'day'], [3600, 'hour'], [60, 'minute'], SECOND] as const

/** Whether the browser knows an IANA time zone. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

/** In the locale and the time zone of the visitor. */
export const format = createFormat()
export const { number, plural, day, time, moment, period, until, timeLeft, duration } = format
