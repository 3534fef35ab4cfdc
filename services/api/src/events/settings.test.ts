import { describe, expect, it } from 'vitest'
import { fieldErrors } from '../http/input.js'
import { eventPatchSchema, newEventSchema, parseTime, patchOf } from './settings.js'

/** The pointers of what is wrong with a body. */
function faultsOf(schema: typeof newEventSchema | typeof eventPatchSchema, body: object) {
  const { error } = schema.safeParse(body)
  return error === undefined ? [] : fieldErrors(error, body).map(({ pointer }) => pointer)
}

const faultsOfPatch = (body: object) => faultsOf(eventPatchSchema, body)

describe('the settings of an event', () => {
  it('become a patch with times in ms and the words of `sales` and `promotion` as flags', () => {
    const body = eventPatchSchema.parse({
      totalTickets: 7,
      name: 'Concert',
      startsAt: '2030-01-01T01:00:00+01:00',
      endsAt: '1970-01-01T00:00:01Z',
      opensAt: '1970-01-01T00:00:00.5Z',
      closesAt: null,
      timezone: 'Europe/Berlin',
      venue: null,
      url: 'https://example.org/?a=b',
      listed: false,
      holdSeconds: 5,
      offerSeconds: null,
      maxHoldSeconds: 5_184_000,
      confirmation: 'staff',
      maxWaiting: 0,
      sales: 'paused',
      promotion: 'off',
      shrink: true,
    })
    expect(patchOf(body)).toEqual({
      totalTickets: 7,
      name: 'Concert',
      startsAtMs: Date.UTC(2030, 0),
      endsAtMs: 1000,
      opensAtMs: 500,
      closesAtMs: null,
      timezone: 'Europe/Berlin',
      venue: null,
      url: 'https://example.org/?a=b',
      listed: false,
      holdSeconds: 5,
      offerSeconds: null,
      maxHoldSeconds: 5_184_000,
      confirmation: 'staff',
      maxWaiting: 0,
      paused: true,
      promoting: false,
    })
    expect(patchOf(eventPatchSchema.parse({ sales: 'open', promotion: 'on' }))).toEqual({
      paused: false,
      promoting: true,
    })
    expect(patchOf(eventPatchSchema.parse({}))).toEqual({})
  })

  it('leave out the id and the instruction `shrink`', () => {
    const created = newEventSchema.parse({ eventId: 3, totalTickets: 0 })
    expect(patchOf(created)).toEqual({ totalTickets: 0 })
    expect(patchOf(eventPatchSchema.parse({ shrink: false }))).toEqual({})
  })

  it('need a size in a new event only', () => {
    expect(faultsOf(newEventSchema, { name: 'Concert' })).toEqual(['/totalTickets'])
    expect(faultsOfPatch({ name: 'Concert' })).toEqual([])
  })

  it.each(['totalTickets', 'sales', 'promotion', 'listed', 'confirmation', 'shrink'])(
    'refuse null for %s',
    (member) => {
      expect(faultsOfPatch({ [member]: null })).toEqual([`/${member}`])
    },
  )

  it.each([
    'eventId',
    'owner',
    'state',
    'availableTickets',
    'heldTickets',
    'withheldTickets',
    'waitingListCount',
    'serverTime',
    'version',
    'paused',
    'opensAtMs',
  ])('refuse the member %s in a patch', (member) => {
    expect(faultsOfPatch({ name: 'x', [member]: 1 })).toEqual([`/${member}`])
  })

  it.each([
    ['totalTickets', [-1, 1_000_001, 1.5, '5']],
    ['name', ['', 'x'.repeat(201), 'a\nb', 'a\u0000', '\ud800', 5]],
    ['venue', ['', '😀'.repeat(201), 'a\u0085']],
    [
      'url',
      [
        'ftp://example.org',
        'example.org',
        'https://',
        'javascript:alert(1)',
        'https://a b.org',
        `https://example.org/${'x'.repeat(2000)}`,
        ' https://example.org',
      ],
    ],
    [
      'timezone',
      ['', 'Mars/Olympus', '+01:00', 'PST', 'europe/berlin', 'SystemV/PST8', 1, 'a'.repeat(5000)],
    ],
    ['listed', ['true', 1]],
    ['holdSeconds', [4, 604_801, 5.5, '60', 0]],
    ['offerSeconds', [4, 2_592_001]],
    ['maxHoldSeconds', [4, 5_184_001]],
    ['confirmation', ['buyer', true]],
    ['maxWaiting', [-1, 0.5, '3', 2 ** 31]],
    ['sales', ['closed', true, 'Open']],
    ['promotion', [true, 'open']],
    ['shrink', ['true', 1]],
    [
      'startsAt',
      [
        '2030-01-01',
        '2030-01-01T00:00:00',
        '2030-02-30T00:00:00Z',
        '2030-01-01T24:00:00Z',
        '2030-01-01T00:60Z',
        '2030-13-01T00:00:00Z',
        '9999-12-31T23:59:59-01:00',
        '0000-12-31T23:59:59.999Z',
        '0001-01-01T00:00:00+01:00',
        'tomorrow',
        1_900_000_000,
        '',
      ],
    ],
  ] as const)('refuse a %s out of range', (member, values) => {
    for (const value of values)
      expect([value, faultsOfPatch({ [member]: value })]).toEqual([value, [`/${member}`]])
  })

  it.each([
    ['name', ['x', '😀'.repeat(200), 'Zoë & Café  №5']],
    ['url', ['http://localhost:3000', 'HTTPS://example.org/ü?q=1#x']],
    ['timezone', ['UTC', 'America/Argentina/Buenos_Aires', 'Asia/Kolkata', 'Etc/GMT+3', 'CET']],
    ['holdSeconds', [5, 604_800, null]],
    ['offerSeconds', [5, 2_592_000, null]],
    ['maxHoldSeconds', [5, 5_184_000, null]],
    ['maxWaiting', [0, 2_147_483_647, null]],
    ['totalTickets', [0, 1_000_000]],
  ] as const)('accept a %s within its range', (member, values) => {
    for (const value of values)
      expect([value, faultsOfPatch({ [member]: value })]).toEqual([value, []])
  })
})

describe('parseTime', () => {
  it.each([
    ['2030-01-31T18:00:00Z', '2030-01-31T18:00:00.000Z'],
    ['2030-01-31t18:00:00z', '2030-01-31T18:00:00.000Z'],
    ['2030-01-31T18:00Z', '2030-01-31T18:00:00.000Z'],
    ['2030-01-31T18:00:00.1239Z', '2030-01-31T18:00:00.123Z'],
    ['2030-01-31T18:00:00,5+00:00', '2030-01-31T18:00:00.500Z'],
    ['2030-01-31T18:00:00+02:30', '2030-01-31T15:30:00.000Z'],
    ['2030-01-31T18:00:00-0930', '2030-02-01T03:30:00.000Z'],
    ['2030-01-31T18:00:00-08', '2030-02-01T02:00:00.000Z'],
    ['2028-02-29T23:59:59.999-00:00', '2028-02-29T23:59:59.999Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('reads %s', (text, expected) => {
    expect(new Date(parseTime(text) ?? Number.NaN).toISOString()).toBe(expected)
  })
})
