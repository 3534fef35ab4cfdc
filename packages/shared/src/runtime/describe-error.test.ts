import { describe, expect, it } from 'vitest'
import { describeError, errorSummary } from './describe-error.js'
import { createLog, type Log } from './log.js'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2VjcmV0$c2VjcmV0'

/** An error as node-postgres creates it. */
function databaseError(fields: Record<string, unknown>, message: string): Error {
  return Object.assign(new Error(message), { name: 'error', severity: 'ERROR', ...fields })
}

/** An error as Drizzle wraps it: the message and two members contain statement and values. */
function failedStatement(cause: Error): Error {
  const query = 'insert into "users" ("user_id", "password_hash") values ($1, $2)'
  const params = ['ada', HASH]
  const error = new Error(`Failed query: ${query}\nparams: ${params.join(',')}`, { cause })
  return Object.assign(error, { query, params })
}

const checkViolation = databaseError(
  {
    code: '23514',
    constraint: 'users_role_known',
    detail: `Failing row contains (ada, ${HASH}).`,
    where: `SQL statement with ${HASH}`,
    internalQuery: HASH,
  },
  'new row for relation "users" violates check constraint "users_role_known"',
)

describe('describeError of a failed statement', () => {
  it('copies the SQLSTATE, the constraint and the message of PostgreSQL, but no values', () => {
    const described = describeError(failedStatement(checkViolation))

    expect(described).toMatchObject({
      type: 'error',
      code: '23514',
      constraint: 'users_role_known',
      message: 'new row for relation "users" violates check constraint "users_role_known"',
    })
    expect(described.stack).toContain('describe-error.test.ts')
    expect(JSON.stringify(described)).not.toMatch(/argon2|Failing row|insert into|params/)
  })

  it('copies no values if the failure is the cause of another error', () => {
    const outer = new AggregateError([failedStatement(checkViolation)], 'both ways failed', {
      cause: failedStatement(checkViolation),
    })

    const described = describeError(outer)

    expect(described.cause?.code).toBe('23514')
    expect(described.errors?.[0]?.code).toBe('23514')
    expect(JSON.stringify(described)).not.toMatch(/argon2|Failing row|insert into/)
  })

  it('removes the value that a data exception quotes', () => {
    const error = databaseError(
      { code: '22P02' },
      `invalid input syntax for type uuid: "${HASH} and "quotes" in it"`,
    )

    expect(describeError(error).message).toBe('invalid input syntax for type uuid: …')
  })

  it('describes a wrapper without a driver error', () => {
    const wrapper = Object.assign(new Error(`Failed query: x\nparams: ${HASH}`), {
      query: 'x',
      params: [HASH],
    })

    expect(JSON.stringify(describeError(wrapper))).not.toContain('argon2')
  })
})

describe('describeError of any other error', () => {
  it('removes the arguments of a Redis command, which may be a password', () => {
    const error = Object.assign(
      new Error(`ERR unknown command 'AUTH', with args beginning with: 'app' 'hunter2-hunter2'`),
      { name: 'ReplyError', command: { name: 'auth', args: ['app', 'hunter2-hunter2'] } },
    )

    expect(describeError(error).message).toBe(`ERR unknown command 'AUTH'`)
    expect(JSON.stringify(describeError(error))).not.toContain('hunter2')
  })

  it('leaves out the address that could not be parsed', () => {
    let error: unknown
    try {
      new URL('postgres//app:hunter2-hunter2@db/tickets')
    } catch (thrown) {
      error = thrown
    }

    expect(describeError(error)).toMatchObject({ type: 'TypeError', code: 'ERR_INVALID_URL' })
    expect(JSON.stringify(describeError(error))).not.toContain('hunter2')
  })

  it('stops in a chain of causes that is a circle', () => {
    const error = new Error('round')
    error.cause = error

    expect(JSON.stringify(describeError(error)).match(/round/g)?.length).toBeLessThan(20)
  })

  it.each([[undefined], [null], [42], [{ password: 'hunter2' }]])(
    'describes %j by its type',
    (value) => {
      expect(JSON.stringify(describeError(value))).not.toContain('hunter2')
    },
  )
})

describe('errorSummary', () => {
  it('contains the message of PostgreSQL and the SQLSTATE', () => {
    const denied = databaseError({ code: '42501' }, 'permission denied for database tickets')

    expect(errorSummary(failedStatement(denied))).toBe(
      'permission denied for database tickets (SQLSTATE 42501)',
    )
  })

  it('is never empty', () => {
    const refused = Object.assign(new AggregateError([new Error('connect ECONNREFUSED')]), {
      code: 'ECONNREFUSED',
    })

    expect(errorSummary(refused)).toBe('ECONNREFUSED')
  })
})

describe('createLog', () => {
  const written: string[] = []
  const log = createLog('test', 'trace', { write: (line: string) => void written.push(line) })

  it.each<[string, (error: Error) => void]>([
    ['as err', (err) => log.warn({ err }, 'failed')],
    ['as err without a message', (err) => log.warn({ err })],
    ['alone', (err) => log.error(err)],
    ['under another name', (error) => log.error({ error, part: 'x' }, 'failed')],
    ['in a child', (err) => (log.child({ part: 'x' }) as Log).error({ err }, 'failed')],
  ])('writes no value of a failed statement whose error is logged %s', (_how, write) => {
    written.length = 0

    write(failedStatement(checkViolation))

    expect(written.join('')).toContain('23514')
    expect(written.join('')).not.toMatch(/argon2|Failing row|insert into|params/)
  })
})
