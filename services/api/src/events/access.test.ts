import type { Pool } from '@ticket-line/db'
import type { Role } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { createEventAccess, mayChangeOwner } from './access.js'

const as = (userId: string, role: Role = 'organizer') => ({ userId, role })

interface Row {
  event_id: string
  owner: string | null
  shared: boolean
  organizers: string[]
}

/** Event 1 is olga's, and hers alone at first. */
function accessWith(postgres = () => true) {
  let nowMs = 0
  const rows: Row[] = [{ event_id: '1', owner: 'olga', shared: false, organizers: [] }]
  const query = vi.fn(async ({ values }: { values: unknown[][] }) => ({
    rows: structuredClone(
      rows.filter(({ event_id }) => (values[0] as number[]).includes(Number(event_id))),
    ),
  }))
  const access = createEventAccess({
    pool: { query } as unknown as Pool,
    postgres: { availability: { postgres }, timeoutMs: 50 },
    knownEvents: 10,
    clock: { wallMs: () => 0, steadyMs: () => nowMs },
  })
  function change(changes: Partial<Row>): void {
    Object.assign(rows[0] as Row, changes)
  }
  function advance(ms: number): void {
    nowMs += ms
  }
  return { access, query, rows, change, advance }
}

describe('createEventAccess', () => {
  it('says that the owner and listed organizers are staff, and no other organizer', async () => {
    const { access, change } = accessWith()
    change({ organizers: ['otto', 'ulla'] })
    expect(await access.staffOf(as('olga'), 1)).toBe('staff')
    expect(await access.staffOf(as('otto'), 1)).toBe('staff')
    expect(await access.staffOf(as('ursula'), 1)).toBe('not_staff')
  })

  it('says that every organizer is staff of a shared event, but not of one without owner', async () => {
    const { access, change } = accessWith()
    change({ owner: null, shared: true })
    expect(await access.staffOf(as('ursula'), 1)).toBe('staff')
    access.forget(1)
    change({ owner: null, shared: false })
    expect(await access.staffOf(as('ursula'), 1)).toBe('not_staff')
  })

  it('tells only organizers that an event does not exist', async () => {
    const { access } = accessWith()
    expect(await access.staffOf(as('olga'), 2)).toBe('not_found')
    expect(access.staffOf(as('ada', 'user'), 2)).toBe('not_staff')
    expect(access.staffOf(as('root', 'admin'), 2)).toBe('staff')
  })

  it('reads nothing for plain users and admins, even if they are the owner', async () => {
    const { access, query } = accessWith()
    expect(access.staffOf(as('olga', 'user'), 1)).toBe('not_staff')
    expect(access.staffOf(as('olga', 'admin'), 1)).toBe('staff')
    expect(query).not.toHaveBeenCalled()
  })

  it('answers staff at once for less than a second after a read', async () => {
    const { access, advance } = accessWith()
    await access.staffOf(as('olga'), 1)
    advance(999)
    expect(access.staffOf(as('olga'), 1)).toBe('staff')
    advance(1001)
    expect(access.staffOf(as('olga'), 1)).toBeInstanceOf(Promise)
  })

  it('reads again in the background before the second is over, and no request waits for it', async () => {
    const { access, query, advance } = accessWith()
    await access.staffOf(as('olga'), 1)
    advance(500)
    for (let i = 0; i < 10; i++) expect(access.staffOf(as('olga'), 1)).toBe('staff')
    await vi.waitFor(() => expect(query).toHaveBeenCalledTimes(2))
    await new Promise((resolve) => setImmediate(resolve))
    advance(999)
    expect(access.staffOf(as('olga'), 1)).toBe('staff')
  })

  it('refuses an organizer only because of rows that were read after the request arrived', async () => {
    const { access, change } = accessWith()
    expect(await access.staffOf(as('otto'), 1)).toBe('not_staff')
    change({ organizers: ['otto'] })
    expect(await access.staffOf(as('otto'), 1)).toBe('staff')
    expect(await access.staffOf(as('olga'), 2)).toBe('not_found')
  })

  it('notices within a second that a user is no longer staff', async () => {
    const { access, change, advance } = accessWith()
    await access.staffOf(as('olga'), 1)
    change({ owner: 'otto' })
    advance(1000)
    expect(await access.staffOf(as('olga'), 1)).toBe('not_staff')
  })

  it('applies a change of this process at once, also if a read was under way', async () => {
    const { access, change } = accessWith()
    const before = access.staffOf(as('olga'), 1)
    change({ owner: 'otto' })
    access.forget(1)
    await before
    expect(await access.staffOf(as('olga'), 1)).toBe('not_staff')
  })

  it('answers 300 organizers of one moment with two queries', async () => {
    const { access, query } = accessWith()
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) => access.staffOf(as(`o${index}`), 1)),
    )
    expect(new Set(answers)).toEqual(new Set(['not_staff']))
    expect(query.mock.calls.length).toBeLessThanOrEqual(2)
  })

  it('throws `unavailable` while PostgreSQL is unavailable, but answers what it remembers', async () => {
    let isAvailable = true
    const { access } = accessWith(() => isAvailable)
    await access.staffOf(as('olga'), 1)
    isAvailable = false
    expect(access.staffOf(as('olga'), 1)).toBe('staff')
    await expect(access.staffOf(as('otto'), 1)).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('mayChangeOwner', () => {
  const staff = { owner: 'olga', shared: false, organizers: ['otto'] }

  it('allows admins and the owner, but not the other staff', () => {
    expect(mayChangeOwner(staff, as('olga'))).toBe(true)
    expect(mayChangeOwner(staff, as('root', 'admin'))).toBe(true)
    expect(mayChangeOwner(staff, as('otto'))).toBe(false)
    expect(mayChangeOwner(staff, as('olga', 'user'))).toBe(false)
  })

  it('lets only admins give an owner to an event without one', () => {
    const shared = { owner: null, shared: true, organizers: [] }
    expect(mayChangeOwner(shared, as('olga'))).toBe(false)
    expect(mayChangeOwner(shared, as('root', 'admin'))).toBe(true)
  })
})
