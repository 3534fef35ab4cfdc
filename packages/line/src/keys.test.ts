import type { LineLayout } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import {
  depthKey,
  eventIdOfLine,
  isLineName,
  lineBase,
  lineNameOf,
  linePrefix,
  queuedJobsKey,
  registeredLinesKey,
  repliesKey,
  shardPrefixes,
  wakeUpsKey,
} from './keys.js'

const layout: LineLayout = { sharedLines: 0, shards: 1, keyPrefix: 'tickets' }

describe('the line of an event', () => {
  it('is a line for this event alone by default', () => {
    expect(lineNameOf(42, layout)).toBe('event-42')
    expect(lineNameOf(Number.MAX_SAFE_INTEGER, layout)).toBe('event-9007199254740991')
    expect(eventIdOfLine('event-42')).toBe(42)
    expect(eventIdOfLine('line-42')).toBeUndefined()
  })

  it('is always the same one of the shared lines, and every shared line is used', () => {
    const shared = { ...layout, sharedLines: 16 }
    const names = Array.from({ length: 2000 }, (_, i) => lineNameOf(i + 1, shared))

    expect(names).toEqual(Array.from({ length: 2000 }, (_, i) => lineNameOf(i + 1, shared)))
    expect(new Set(names)).toEqual(new Set(Array.from({ length: 16 }, (_, i) => `line-${i}`)))
  })

  it.each([
    ['consecutive', (i: number) => i + 1],
    ['multiples of the number of lines', (i: number) => (i + 1) * 16],
    ['close to the largest id', (i: number) => Number.MAX_SAFE_INTEGER - i],
  ])('spreads events evenly over the shared lines if their ids are %s', (_what, eventIdOf) => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 16_000; i++) {
      const name = lineNameOf(eventIdOf(i), { ...layout, sharedLines: 16 })
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }

    expect(Math.min(...counts.values())).toBeGreaterThan(700)
    expect(Math.max(...counts.values())).toBeLessThan(1300)
  })
})

describe('the keys of a line', () => {
  it('begin with the key prefix of the installation and one hash tag', () => {
    const prefix = linePrefix('event-42', layout)

    expect(prefix).toBe('tickets{s0}')
    const base = lineBase('event-42', layout)
    expect([
      wakeUpsKey(prefix),
      registeredLinesKey(prefix),
      repliesKey(prefix, 'api-1'),
      depthKey(base),
      queuedJobsKey(base),
    ]).toEqual([
      'tickets{s0}:activity',
      'tickets{s0}:lines',
      'tickets{s0}:replies:api-1',
      'tickets{s0}:event-42:depth',
      'tickets{s0}:event-42:wait',
    ])
  })

  it('are spread over all shards of the installation', () => {
    const sharded = { ...layout, shards: 4 }
    const used = new Set(
      Array.from({ length: 200 }, (_, i) => linePrefix(`event-${i + 1}`, sharded)),
    )

    expect(shardPrefixes(sharded)).toEqual([
      'tickets{s0}',
      'tickets{s1}',
      'tickets{s2}',
      'tickets{s3}',
    ])
    expect([...used].toSorted()).toEqual(shardPrefixes(sharded))
  })
})

it.each<[string, number, boolean]>([
  ['event-1', 0, true],
  ['event-9007199254740991', 0, true],
  ['event-9007199254740992', 0, false],
  ['event-0', 0, false],
  ['event-01', 0, false],
  ['event-1', 4, false],
  ['line-0', 4, true],
  ['line-3', 4, true],
  ['line-4', 4, false],
  ['line-0', 0, false],
  ['event-', 0, false],
  ['constructor', 0, false],
  ['event-1:wait', 0, false],
])(
  'knows whether %s can be the name of a line with SHARED_LINES=%i: %s',
  (name, sharedLines, expected) => {
    expect(isLineName(name, { ...layout, sharedLines })).toBe(expected)
  },
)
