import type { components } from '@ticket-line/client'
import { describe, expect, test } from 'vitest'
import { moment } from '../../format.js'
import { contentsOf, resultOf, stateOf } from './delivery-texts.js'

type Schemas = components['schemas']

const SINCE = '2030-01-31T18:00:00.000Z'

const delivery = (parts: Partial<Schemas['Delivery']> = {}): Schemas['Delivery'] => ({
  messageId: 'msg_2f1b7c1e5d0a4c53',
  kind: 'live',
  eventId: 1001,
  from: 1025,
  to: 1025,
  attempt: 1,
  state: 'delivered',
  at: SINCE,
  tookMs: 120,
  status: 204,
  error: null,
  ...parts,
})

const webhook = (parts: Partial<Schemas['Webhook']> = {}): Schemas['Webhook'] => ({
  id: '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f',
  url: 'https://crm.example.com/hooks/tickets',
  types: null,
  eventIds: null,
  format: 'single',
  description: null,
  createdAt: SINCE,
  failingSince: null,
  disabled: false,
  disabledAt: null,
  disabledReason: null,
  ...parts,
})

describe('what a delivery contained', () => {
  test('is a change, some changes, or a test', () => {
    expect(contentsOf(delivery())).toBe('Change 1025 of event 1001')
    expect(contentsOf(delivery({ to: 1030 }))).toBe('Changes 1025 to 1030 of event 1001')
    expect(contentsOf(delivery({ kind: 'test', eventId: null, from: null, to: null }))).toBe(
      'Test message',
    )
  })

  test('says if the change was sent again', () => {
    expect(contentsOf(delivery({ kind: 'replay' }))).toBe('Change 1025 of event 1001, sent again')
  })
})

describe('how an attempt ended', () => {
  test('says that it was delivered', () => {
    expect(resultOf(delivery())).toBe('Delivered')
  })

  test('shows the status of an answer that is no success', () => {
    const failed = delivery({ state: 'failed', status: 500, error: 'status' })
    expect(resultOf(failed)).toBe('Your endpoint answered with status 500.')
  })

  test.each([
    'timeout',
    'address_not_allowed',
    'name_not_resolved',
    'connection_failed',
    'connection_lost',
    'tls_failed',
    'secret_not_readable',
  ])('has a sentence of its own for %s', (error) => {
    const unknown = resultOf(delivery({ state: 'failed', status: null, error: 'another' }))
    expect(unknown).toBe('There was no answer.')
    expect(resultOf(delivery({ state: 'failed', status: null, error }))).not.toBe(unknown)
  })

  test('says that the changes are not sent again', () => {
    const parked = delivery({ state: 'parked', status: null, error: 'timeout', attempt: 14 })
    expect(resultOf(parked)).toBe(
      'Given up after 14 attempts in 3 days. Your endpoint did not answer in time.',
    )
  })
})

describe('the state of a webhook', () => {
  test('is on, failing or off', () => {
    expect(stateOf(webhook())).toBe('On.')
    expect(stateOf(webhook({ failingSince: SINCE }))).toBe(`Failing since ${moment(SINCE)}.`)
    const off = { disabled: true, disabledAt: SINCE }
    expect(stateOf(webhook({ ...off, disabledReason: 'user' }))).toBe(`Off since ${moment(SINCE)}.`)
  })

  test('says why the service turned it off', () => {
    const off = { disabled: true, disabledAt: SINCE, failingSince: SINCE }
    expect(stateOf(webhook({ ...off, disabledReason: 'gone' }))).toContain('410')
    expect(stateOf(webhook({ ...off, disabledReason: 'failing' }))).toContain('5 days')
  })
})
