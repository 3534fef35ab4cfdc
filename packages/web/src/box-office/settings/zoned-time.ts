/**
 * Times of an event are edited as the clocks at its place show them, by `<input
 * type="datetime-local">`. Such a wall-clock time looks like `2030-01-31T20:00`.
 */

const HOUR_MS = 3_600_000

/** The wall-clock time of an instant. @param iso a time as the API sends it */
export function wallTimeOf(iso: string, timeZone: string): string {
  const ms = Date.parse(iso)
  const [date = '', time = ''] = new Date(ms + offsetMs(ms, timeZone)).toISOString().split('T')
  return `${date}T${time.slice(0, time.startsWith('00', 6) ? 5 : 8)}`
}

/**
 * The instant of a wall-clock time, as the API takes it. If clocks show the time twice, because
 * they are set back, the first instant counts. If clocks skip the time, the instant is later by the
 * gap.
 *
 * @returns undefined if the text is no time
 */
export function instantOf(wallTime: string, timeZone: string): string | undefined {
  const wallMs = Date.parse(`${wallTime}Z`)
  if (Number.isNaN(wallMs)) return undefined
  const before = offsetMs(wallMs - 24 * HOUR_MS, timeZone)
  const after = offsetMs(wallMs + 24 * HOUR_MS, timeZone)
  const valid = [before, after]
    .map((offset) => ({ ms: wallMs - offset, offset }))
    .filter(({ ms, offset }) => offsetMs(ms, timeZone) === offset)
    .map(({ ms }) => ms)
  return new Date(valid.length > 0 ? Math.min(...valid) : wallMs - before).toISOString()
}

/** The time zone of the visitor. */
export function visitorTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** How far the clocks of a time zone are ahead of UTC at an instant. */
function offsetMs(ms: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
  const shown = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  )
  // The parts have no milliseconds.
  return shown - Math.floor(ms / 1000) * 1000
}
