import { describe, expect, it } from 'vitest'
import {
  commandCountOf,
  commandIdOf,
  isEventId,
  isRegistrableUserId,
  isUserId,
  jobCreatedAtMs,
  newJobId,
  parseCommandId,
} from './ids.js'

const NOW = 1_785_000_000_000

describe('an event id', () => {
  it.each([1, 42, Number.MAX_SAFE_INTEGER])('is an integer from 1 to 2^53-1: %s', (value) => {
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
  ])('is nothing else: %s', (value) => {
    expect(isEventId(value)).toBe(false)
  })
})

describe('a user id', () => {
  it.each([
    ['a letter', 'a'],
    ['spaces, kept as they are', ' ann '],
    ['128 characters', 'x'.repeat(128)],
    ['128 code points of two units each', '😀'.repeat(128)],
    ['what looks like a number', '42'],
  ])('may be %s', (_what, value) => {
    expect(isUserId(value)).toBe(true)
  })

  it.each([
    ['nothing', ''],
    ['129 characters', 'x'.repeat(129)],
    ['129 code points', '😀'.repeat(129)],
    ['a line break', 'a\nb'],
    ['a NUL', 'a\0'],
    ['a control character of Latin-1', 'a\u0085'],
    ['a lone surrogate', 'a\ud800'],
    ['a number', 42],
    ['an object', {}],
  ])('may not be %s', (_what, value) => {
    expect(isUserId(value)).toBe(false)
  })
})

describe('a user id that somebody may register', () => {
  it.each([
    ['letters of any script', 'Žofie Łukaszówna'],
    ['Hebrew, which runs from right to left by itself', 'דנה'],
    ['composed letters', 'Ame\u0301lie'.normalize('NFC')],
    ['inner spaces', 'ada  lovelace'],
    ['white space inside that is no line break', 'ada\u00a0lovelace'],
    ['three dots', '...'],
    ['dots among letters', 'ada.lovelace'],
    ['a family of emoji', '👨‍👩‍👧'],
    ['emoji with skin tones, joined', '👩🏽‍🚀'],
    ['an emoji with a variation selector, joined', '🏳️‍🌈'],
    ['what paths escape', 'a/b?c#d%2e;&=+\\'],
  ])('may have %s', (_what, value) => {
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
    ['tags', 'admin\u{e0041}'],
    ['an Arabic letter mark', 'admin\u061c'],
    ['a line separator', 'a\u2028b'],
    ['a paragraph separator', 'a\u2029b'],
    ['a space first', ' ada'],
    ['a space last', 'ada '],
    ['an ideographic space last', 'ada\u3000'],
    ['a no-break space first', '\u00a0ada'],
    ['a space alone', ' '],
    ['what no user id may have', 'a\nb'],
    ['nothing', ''],
  ])('may not be, or have, %s', (_what, value) => {
    expect(isRegistrableUserId(value)).toBe(false)
  })
})

describe('a job id', () => {
  it('can be taken apart again, command by command', () => {
    const jobId = newJobId('event-42', 256, NOW)

    expect(parseCommandId(commandIdOf(jobId, 255))).toEqual({
      lineName: 'event-42',
      jobId,
      index: 255,
    })
    expect(commandCountOf(jobId)).toBe(256)
    expect(jobCreatedAtMs(jobId)).toBe(NOW)
  })

  it.each(['event-1', `event-${Number.MAX_SAFE_INTEGER}`, 'line-0', 'line-1023'])(
    'names its line: %s',
    (lineName) => {
      const jobId = newJobId(lineName, 1, NOW)

      expect(parseCommandId(commandIdOf(jobId, 0))?.lineName).toBe(lineName)
    },
  )

  it('is one that BullMQ accepts', () => {
    expect(newJobId('event-1', 1, NOW)).not.toMatch(/:|^\d+$/)
  })

  it('is made once', () => {
    const jobIds = new Set(Array.from({ length: 5000 }, () => newJobId('event-1', 1, NOW)))

    expect(jobIds.size).toBe(5000)
  })

  it('sorts by the time it was made, so that the index of commands grows at its end', () => {
    const times = [NOW, NOW + 1, NOW + 35, NOW + 36, NOW + 86_400_000]

    const jobIds = times.map((time) => newJobId('event-1', 1, time))

    expect(jobIds.toSorted()).toEqual(jobIds)
  })

  it('keeps the ids of its commands between two bounds that hold no others', () => {
    const jobId = newJobId('event-1', 2, NOW)
    const inside = (commandId: string): boolean =>
      commandId > `${jobId}.` && commandId < `${jobId}/`

    expect([0, 1].map((index) => inside(commandIdOf(jobId, index)))).toEqual([true, true])
    expect(inside(commandIdOf(`${jobId}5`, 0))).toBe(false)
  })
})

describe('what is no command id of this product', () => {
  const middle = 'a'.repeat(21)

  it.each([
    ['nothing', ''],
    ['a job id', `event-1.${middle}.2`],
    ['an index behind the last command', `event-1.${middle}.2.2`],
    ['no commands', `event-1.${middle}.0.0`],
    ['an index with a leading zero', `event-1.${middle}.20.01`],
    ['another queue', `emails-1.${middle}.1.0`],
    ['an event with a leading zero', `event-01.${middle}.1.0`],
    ['a short middle', 'event-1.abc.1.0'],
    ['capital letters', `event-1.${middle.toUpperCase()}.1.0`],
    ['a colon', `event:1.${middle}.1.0`],
    ['something behind it', `event-1.${middle}.1.0\n`],
    ['something before it', ` event-1.${middle}.1.0`],
  ])('is told: %s', (_what, commandId) => {
    expect(parseCommandId(commandId)).toBeUndefined()
  })
})
