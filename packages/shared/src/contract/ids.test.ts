import { describe, expect, it } from 'vitest'
import {
  commandCountOf,
  commandIdOf,
  isEventId,
  isRegistrableUserId,
  isUserId,
  jobCreatedAtMs,
  jobIdOf,
  lineNameIn,
  newJobId,
  parseCommandId,
} from './ids.js'

const NOW = 1_785_000_000_000

describe('isEventId', () => {
  it.each([1, 42, Number.MAX_SAFE_INTEGER])('accepts %s', (value) => {
    expect(isEventId(value)).toBe(true)
  })

  it.each([
    0,
    -1,
    1.5,
    Number.MAX_SAFE_INTEGER + 1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '1',
    null,
    undefined,
    1n,
  ])('refuses %s', (value) => {
    expect(isEventId(value)).toBe(false)
  })
})

describe('isUserId', () => {
  it.each([
    ['a letter', 'a'],
    ['leading and trailing spaces', ' ann '],
    ['128 characters', 'x'.repeat(128)],
    ['128 code points of two units each', '😀'.repeat(128)],
    ['digits', '42'],
  ])('accepts %s', (_what, value) => {
    expect(isUserId(value)).toBe(true)
  })

  it.each([
    ['an empty string', ''],
    ['129 characters', 'x'.repeat(129)],
    ['129 code points', '😀'.repeat(129)],
    ['a line break', 'a\nb'],
    ['a NUL', 'a\0'],
    ['a control character of Latin-1', 'a\u0085'],
    ['a lone surrogate', 'a\ud800'],
    ['a number', 42],
    ['an object', {}],
  ])('refuses %s', (_what, value) => {
    expect(isUserId(value)).toBe(false)
  })
})

describe('isRegistrableUserId', () => {
  it.each([
    ['letters of any script', 'Žofie Łukaszówna'],
    ['Hebrew, which is written from right to left', 'דנה'],
    ['composed letters', 'Ame\u0301lie'.normalize('NFC')],
    ['inner spaces', 'ada  lovelace'],
    ['a no-break space between letters', 'ada\u00a0lovelace'],
    ['three dots', '...'],
    ['dots among letters', 'ada.lovelace'],
    ['a family of emoji', '👨‍👩‍👧'],
    ['emoji with skin tones, joined', '👩🏽‍🚀'],
    ['an emoji with a variation selector, joined', '🏳️‍🌈'],
    ['characters that are escaped in paths', 'a/b?c#d%2e;&=+\\'],
  ])('accepts %s', (_what, value) => {
    expect(isRegistrableUserId(value)).toBe(true)
  })

  it.each([
    ['one dot', '.'],
    ['two dots', '..'],
    ['decomposed letters', 'Ame\u0301lie'],
    ['a compatibility form that NFC replaces', '\u212b'],
    ['a zero width space', 'admin\u200b'],
    ['a zero width non-joiner', 'ad\u200cmin'],
    ['a joiner between letters', 'ad\u200dmin'],
    ['a joiner between digits, which are emoji in Unicode', '1\u200d2'],
    ['a joiner at the end', '👨\u200d'],
    ['a joiner at the start', '\u200d👨'],
    ['two joiners between emoji', '👨\u200d\u200d👩'],
    ['a joiner between an emoji and a letter', '👨\u200da'],
    ['a right-to-left override', '\u202enimda'],
    ['an isolate', 'ad\u2066min'],
    ['a soft hyphen', 'ad\u00admin'],
    ['a byte order mark', '\ufeffadmin'],
    ['invisible tag characters', 'admin\u{e0041}'],
    ['an Arabic letter mark', 'admin\u061c'],
    ['a line separator', 'a\u2028b'],
    ['a paragraph separator', 'a\u2029b'],
    ['a leading space', ' ada'],
    ['a trailing space', 'ada '],
    ['a trailing ideographic space', 'ada\u3000'],
    ['a leading no-break space', '\u00a0ada'],
    ['a single space', ' '],
    ['a line break', 'a\nb'],
    ['an empty string', ''],
  ])('refuses %s', (_what, value) => {
    expect(isRegistrableUserId(value)).toBe(false)
  })
})

describe('newJobId', () => {
  it('creates ids whose command ids can be parsed', () => {
    const jobId = newJobId('event-42', 256, NOW)

    expect(parseCommandId(commandIdOf(jobId, 255))).toEqual({
      lineName: 'event-42',
      jobId,
      index: 255,
    })
    expect(jobIdOf(commandIdOf(jobId, 255))).toBe(jobId)
    expect([lineNameIn(jobId), lineNameIn(commandIdOf(jobId, 255))]).toEqual([
      'event-42',
      'event-42',
    ])
    expect(commandCountOf(jobId)).toBe(256)
    expect(jobCreatedAtMs(jobId)).toBe(NOW)
  })

  it.each(['event-1', `event-${Number.MAX_SAFE_INTEGER}`, 'line-0', 'line-1023'])(
    'puts the line %s into the id',
    (lineName) => {
      const jobId = newJobId(lineName, 1, NOW)

      expect(parseCommandId(commandIdOf(jobId, 0))?.lineName).toBe(lineName)
    },
  )

  it('creates ids that BullMQ accepts', () => {
    expect(newJobId('event-1', 1, NOW)).not.toMatch(/:|^\d+$/)
  })

  it('creates a different id each time', () => {
    const jobIds = new Set(Array.from({ length: 5000 }, () => newJobId('event-1', 1, NOW)))

    expect(jobIds.size).toBe(5000)
  })

  it('creates ids that sort by time, so that the index of commands grows at its end', () => {
    const times = [NOW, NOW + 1, NOW + 35, NOW + 36, NOW + 86_400_000]

    const jobIds = times.map((time) => newJobId('event-1', 1, time))

    expect(jobIds.toSorted()).toEqual(jobIds)
  })

  it('creates ids whose command ids lie between two bounds, without those of other jobs', () => {
    const jobId = newJobId('event-1', 2, NOW)
    const inside = (commandId: string): boolean =>
      commandId > `${jobId}.` && commandId < `${jobId}/`

    expect([0, 1].map((index) => inside(commandIdOf(jobId, index)))).toEqual([true, true])
    expect(inside(commandIdOf(`${jobId}5`, 0))).toBe(false)
  })
})

describe('parseCommandId', () => {
  const middle = 'a'.repeat(21)

  it.each([
    ['an empty string', ''],
    ['a job id', `event-1.${middle}.2`],
    ['an index after the last command', `event-1.${middle}.2.2`],
    ['a job without commands', `event-1.${middle}.0.0`],
    ['an index with a leading zero', `event-1.${middle}.20.01`],
    ['a queue of another kind', `emails-1.${middle}.1.0`],
    ['an event with a leading zero', `event-01.${middle}.1.0`],
    ['a short middle', 'event-1.abc.1.0'],
    ['capital letters', `event-1.${middle.toUpperCase()}.1.0`],
    ['a colon', `event:1.${middle}.1.0`],
    ['trailing characters', `event-1.${middle}.1.0\n`],
    ['leading characters', ` event-1.${middle}.1.0`],
  ])('refuses %s', (_what, commandId) => {
    expect(parseCommandId(commandId)).toBeUndefined()
  })
})
