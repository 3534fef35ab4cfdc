import { setTimeout as sleep } from 'node:timers/promises'
import { findStoredCommands, readRecentDecisions } from '@ticket-line/db'
import { callerOfKey } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  command,
  createLineKit,
  expectRowsAgree,
  type KitJob,
  kindsOf,
  type LineKit,
} from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
  for (const eventId of [1, 2]) await kit.createEvent(eventId, 1000)
})
afterAll(() => kit?.stop())

const ownersOf = (keyHash: string) =>
  kit.query<{ command_id: string }>('SELECT command_id FROM idempotency_keys WHERE key_hash = $1', [
    keyHash,
  ])

async function bookingsOf(userId: string): Promise<number> {
  const rows = await kit.query('SELECT FROM bookings WHERE user_id = $1', [userId])
  return rows.length
}

describe('an idempotency key', () => {
  it('gives a key that two lines use at once to one of them, and the other books nothing', async () => {
    for (let round = 0; round < 30; round++) {
      const [userId, keyHash] = [`racer-${round}`, `race-${round}`]
      const jobs = [1, 2].map((eventId) =>
        kit.job(
          command('book', eventId, `${userId}-before`),
          command('book', eventId, userId, { keyHash }),
          command('book', eventId, `${userId}-behind`),
        ),
      )

      const applied = await Promise.all(jobs.map((job) => kit.apply(job)))

      const answers = applied.map((batch) => kindsOf(batch)[1])
      expect(answers.toSorted()).toEqual(['booked', 'idempotency_key_reused'])
      expect(await bookingsOf(userId)).toBe(1)
      const owner = jobs[answers.indexOf('booked')]
      expect(await ownersOf(keyHash)).toEqual([{ command_id: owner?.id(1) }])
    }
    await expectRowsAgree(kit)
  })

  it('has one effect and one outcome when a key is sent many times at once', async () => {
    const keyHash = 'double-click'
    const jobs = Array.from({ length: 12 }, () =>
      kit.job(command('book', 1, 'clicker', { keyHash })),
    )

    const answers = (await Promise.all(jobs.map((job) => kit.apply(job)))).map(
      ({ outcomes }) => outcomes[0],
    )

    const first = answers.findIndex((outcome) => outcome !== undefined && !('replayOf' in outcome))
    const replay = { ...answers[first], replayOf: jobs[first]?.id(0) }
    expect(answers.filter((_, i) => i !== first)).toEqual(Array.from({ length: 11 }, () => replay))
    expect(await bookingsOf('clicker')).toBe(1)
  })

  it('belongs to the API key that sent it, and not to a user with the same name', async () => {
    const caller = callerOfKey('Zx81kQ4fWm2Rb7Yp')
    const options = { caller, keyHash: 'of-an-api-key' }
    const first = kit.job(command('book', 1, 'guest', options))
    const alone = await kit.apply(first)
    const repeat = await kit.apply(kit.job(command('book', 1, 'guest', options)))

    expect(kindsOf(alone)).toEqual(['booked'])
    expect(repeat.outcomes).toEqual([{ ...alone.outcomes[0], replayOf: first.id(0) }])
    const stored = await kit.query(
      `SELECT (SELECT caller FROM idempotency_keys WHERE key_hash = $1),
         (SELECT actor FROM changes WHERE user_id = 'guest')`,
      [options.keyHash],
    )
    expect(stored).toEqual([{ caller, actor: caller }])

    const other = { caller: caller.replace('\u0001', 'u0001'), keyHash: options.keyHash }
    const ofUser = await kit.apply(kit.job(command('cancel', 1, 'guest', other)))
    expect(kindsOf(ofUser)).toEqual(['canceled'])
  })

  it('shows the time of the first outcome for a repeat in the recent decisions', async () => {
    const keyHash = 'recent'
    await kit.createEvent(3, 10)
    const [first, again] = [1, 2].map(() => kit.job(command('book', 3, 'recent', { keyHash })))
    const { outcomes } = await kit.apply(first as KitJob)
    await sleep(20)
    await kit.apply(again as KitJob)

    const recent = await readRecentDecisions(kit.database.pool, 'event-3', 3, 10)

    expect(recent.map(({ command, outcome }) => [command.commandId, outcome.decidedAtMs])).toEqual([
      [again?.id(0), outcomes[0]?.decidedAtMs],
      [first?.id(0), outcomes[0]?.decidedAtMs],
    ])
  })

  it('repeats the complete first outcome of a key, even if the repeat itself runs again', async () => {
    const keyHash = 'whole'
    const [first, again] = [1, 2].map(() => kit.job(command('book', 1, 'whole', { keyHash })))
    const { outcomes } = await kit.apply(first as KitJob)
    await sleep(20)
    const replay = { ...outcomes[0], replayOf: first?.id(0) }

    expect((await kit.apply(again as KitJob)).outcomes).toEqual([replay])

    expect((await kit.apply(again as KitJob)).outcomes).toEqual([replay])
    expect((await kit.apply(again as KitJob, true)).outcomes).toEqual([replay])
    const [stored] = await findStoredCommands(kit.database.pool, [again?.id(0) as string])
    expect(stored?.outcome).toEqual(replay)
  })

  it('gives each key one owner when two lines use many keys in opposite orders', {
    timeout: 60_000,
  }, async () => {
    for (let round = 0; round < 10; round++) {
      const hashes = Array.from({ length: 40 }, (_, i) => `many-${round}-${i}`)
      const job = (eventId: number, keyHashes: string[]) =>
        kit.job(
          ...keyHashes.map((keyHash) => command('book', eventId, `user-${keyHash}`, { keyHash })),
        )

      const [one, two] = await Promise.all([
        kit.apply(job(1, hashes)),
        kit.apply(job(2, hashes.toReversed())),
      ])

      const answers = hashes.map((_, i) =>
        [kindsOf(one as never)[i], kindsOf(two as never).at(-1 - i)].toSorted(),
      )
      expect(answers).toEqual(hashes.map(() => ['booked', 'idempotency_key_reused']))
    }
    await expectRowsAgree(kit)
  })

  it('frees an idempotency key after 24 hours', async () => {
    const keyHash = 'old'
    const first = kit.job(command('book', 1, 'old-timer', { keyHash }))
    await kit.apply(first)
    const almost = `now() - interval '23 hours 59 minutes'`
    await kit.query(`UPDATE idempotency_keys SET created_at = ${almost} WHERE key_hash = $1`, [
      keyHash,
    ])
    const replayed = await kit.apply(kit.job(command('book', 1, 'old-timer', { keyHash })))
    expect(replayed.outcomes[0]).toMatchObject({ outcome: 'booked', replayOf: first.id(0) })

    await kit.query(
      `UPDATE idempotency_keys SET created_at = now() - interval '24 hours' WHERE key_hash = $1`,
      [keyHash],
    )
    const fresh = kit.job(command('cancel', 1, 'old-timer', { keyHash }))
    expect(kindsOf(await kit.apply(fresh))).toEqual(['canceled'])
    expect(await ownersOf(keyHash)).toEqual([{ command_id: fresh.id(0) }])
  })

  it('repeats the outcome to a request that was accepted within 24 hours but decided later', async () => {
    const keyHash = 'accepted in time'
    const first = kit.job(command('book', 1, 'patient', { keyHash }))
    const { outcomes } = await kit.apply(first)
    await kit.apply(kit.job(command('cancel', 1, 'patient')))
    const anHourLater = kit.job(command('book', 1, 'patient', { keyHash }))
    const tooLate = kit.job(command('book', 1, 'patient', { keyHash }))
    const dayMs = 24 * 3_600_000
    await kit.query(
      `UPDATE idempotency_keys SET created_at = created_at - interval '1 day' WHERE key_hash = $1`,
      [keyHash],
    )

    const inTime = await kit.apply({
      ...anHourLater,
      acceptedAtMs: anHourLater.acceptedAtMs - dayMs + 3_600_000,
    })

    expect(inTime.outcomes).toEqual([{ ...outcomes[0], replayOf: first.id(0) }])
    // The only booking is the canceled one.
    expect(await bookingsOf('patient')).toBe(1)
    expect(kindsOf(await kit.apply({ ...tooLate, acceptedAtMs: first.acceptedAtMs }))).toEqual([
      'booked',
    ])
    expect(await ownersOf(keyHash)).toEqual([{ command_id: tooLate.id(0) }])
  })

  it('gives a key that two lines take at once after 24 hours to one of them', async () => {
    for (let round = 0; round < 15; round++) {
      const [userId, keyHash] = [`heir-${round}`, `old-race-${round}`]
      await kit.apply(kit.job(command('cancel', 1, userId, { keyHash })))
      await kit.query(
        `UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key_hash = $1`,
        [keyHash],
      )

      const applied = await Promise.all(
        [1, 2].map((eventId) => kit.apply(kit.job(command('book', eventId, userId, { keyHash })))),
      )

      expect(applied.flatMap(kindsOf).toSorted()).toEqual(['booked', 'idempotency_key_reused'])
      expect(await bookingsOf(userId)).toBe(1)
    }
  })

  it('separates keys by caller and compares them byte by byte', async () => {
    const { outcomes } = await kit.apply(
      kit.job(
        command('book', 1, 'Kim', { keyHash: 'own' }),
        command('book', 1, 'kim', { keyHash: 'own' }),
        command('book', 1, 'kim', { keyHash: 'OWN' }),
      ),
    )

    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['booked', 'booked', 'already_booked'])
  })
})
