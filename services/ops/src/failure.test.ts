import { ConfigError } from '@ticket-line/shared'
import { expect, it } from 'vitest'
import { UsageError } from './arguments.js'
import { exitCodeOf, Unreachable } from './failure.js'

const withFields = (error: Error, fields: object): Error => Object.assign(error, fields)

it.each([
  ['a wrong command line', 2, new UsageError('there is no command "fly"')],
  ['a setting that cannot be used', 2, new ConfigError('NODE_ENV must be …')],
  ['a server that does not answer', 3, new Unreachable('Redis does not answer')],
  ['a refused connection', 3, withFields(new Error('connect'), { code: 'ECONNREFUSED' })],
  [
    'all addresses of a name refused',
    3,
    new AggregateError([withFields(new Error(), { code: 'ECONNREFUSED' })]),
  ],
  [
    'a certificate that is not trusted',
    3,
    withFields(new Error('x'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }),
  ],
  ['a failed statement', 3, withFields(new Error('x'), { code: '42501', severity: 'ERROR' })],
  [
    'a failed statement in a wrapper',
    3,
    new Error('x', { cause: withFields(new Error(), { code: '57014' }) }),
  ],
  ['a command that Redis refused', 3, withFields(new Error('NOPERM'), { name: 'ReplyError' })],
  ['a command that Redis did not answer', 3, new Error('Command timed out')],
  ['a missing function', 4, new TypeError('Map.groupBy is not a function')],
  [
    'a wrong argument of a Node function',
    4,
    withFields(new TypeError('x'), { code: 'ERR_INVALID_ARG_TYPE' }),
  ],
  ['a broken invariant', 4, new Error('this cannot be')],
  ['something that is no error', 4, 'text'],
])('%s ends the tool with %i', (_what, exitCode, error) => {
  expect(exitCodeOf(error)).toBe(exitCode)
})
