import { backoffMs } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { faultKindOf, isRetryable, retryRuleOf } from './faults.js'

const failure = (code?: string, message = 'failed') => Object.assign(new Error(message), { code })

describe('faultKindOf', () => {
  it.each([
    ['08006', 'connection'],
    ['57P01', 'connection'],
    ['ECONNRESET', 'connection'],
    ['40P01', 'conflict'],
    ['55P03', 'lock'],
    ['57014', 'timeout'],
    ['53100', 'resources'],
    ['58030', 'resources'],
    ['25006', 'resources'],
    ['0A000', 'plan'],
    ['26000', 'plan'],
    ['42501', 'unknown'],
    ['23514', 'unknown'],
    ['P0001', 'unknown'],
  ])('names %s a fault of the kind %s', (code, kind) => {
    expect(faultKindOf(failure(code))).toBe(kind)
    expect(isRetryable(failure(code))).toBe(kind !== 'unknown')
  })

  it('takes a violated key of a command or of an idempotency key for a race', () => {
    const violation = (constraint: string) => Object.assign(failure('23505'), { constraint })

    expect(faultKindOf(violation('commands_pkey'))).toBe('race')
    expect(faultKindOf(violation('idempotency_keys_caller_key_hash_pk'))).toBe('race')
    expect(faultKindOf(violation('bookings_event_id_sequence_pk'))).toBe('unknown')
  })

  it('sees the driver’s error behind the one that wraps it', () => {
    expect(faultKindOf(new Error('Failed query', { cause: failure('40001') }))).toBe('conflict')
    expect(faultKindOf(failure(undefined, 'Connection terminated unexpectedly'))).toBe('connection')
    expect(faultKindOf(new TypeError('a bug'))).toBe('unknown')
  })
})

describe('retryRuleOf', () => {
  it('doubles the pause after a lost connection, up to half a second', () => {
    const rule = retryRuleOf(failure('08006'))
    const pauses = [1, 2, 3, 4, 5, 50].map((attempt) => backoffMs(rule, attempt))

    expect(pauses).toEqual([40, 80, 160, 320, 500, 500])
  })

  it('never suspects a transaction that waited for a lock', () => {
    expect(retryRuleOf(failure('55P03')).suspectAfter).toBe(Number.POSITIVE_INFINITY)
  })
})
