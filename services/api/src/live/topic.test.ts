import type { LiveState, UserClaim } from '@ticket-line/db'
import { describe, expect, it } from 'vitest'
import { Topic } from './topic.js'

const nowMs = Date.parse('2030-01-31T18:00:00.000Z')

function stateOf(changes: Partial<LiveState> = {}): LiveState {
  return {
    lastChange: 1,
    nowMs,
    canceledAtMs: null,
    opensAtMs: null,
    closesAtMs: null,
    paused: false,
    availableTickets: 5,
    heldTickets: 0,
    waitingListCount: 0,
    claims: new Map(),
    ...changes,
  }
}

function topicOf(...states: LiveState[]): Topic {
  const topic = new Topic(7)
  for (const state of states) topic.update(state, { userIds: ['ada'] })
  return topic
}

const waiting = (position: number): Map<string, UserClaim> =>
  new Map([['ada', { standing: 'waiting', position }]])

describe('a topic', () => {
  it('has the status, and then the standing, for a new stream', () => {
    const state = stateOf({ claims: waiting(3) })
    const topic = topicOf(state)
    const due = topic.take(topic.add('ada', state))
    expect(due).toMatchObject({ status: 1, standing: 1 })
    expect(String(due?.bytes)).toBe(
      'event: status\nid: 1\ndata: {"eventId":7,"state":"open","availableTickets":5,"heldTickets":0,"waitingListCount":0,"serverTime":"2030-01-31T18:00:00.000Z"}\n\n' +
        'event: standing\nid: 1\ndata: {"eventId":7,"userId":"ada","standing":"waiting","position":3,"bookingId":null,"expiresAt":null,"offered":false}\n\n',
    )
  })

  it('makes the bytes of a status once for all streams', () => {
    const topic = topicOf(stateOf())
    const [first, second] = [topic.add(undefined, stateOf()), topic.add(undefined, stateOf())]
    expect(topic.take(first)?.bytes).toBe(topic.take(second)?.bytes)
  })

  it('has nothing for a stream that shows the last state', () => {
    const topic = topicOf(stateOf())
    const shown = topic.add('ada', stateOf())
    topic.take(shown)
    topic.update(stateOf({ nowMs: nowMs + 1000 }), { userIds: ['ada'] })
    expect(topic.isBehind(shown)).toBe(false)
    expect(topic.take(shown)).toBeUndefined()
  })

  it('has only the last of several states', () => {
    const topic = topicOf(stateOf())
    const shown = topic.add(undefined, stateOf())
    topic.take(shown)
    for (const lastChange of [2, 3, 4])
      topic.update(stateOf({ lastChange, availableTickets: 5 - lastChange }), { userIds: [] })
    expect(topic.isBehind(shown)).toBe(true)
    expect(String(topic.take(shown)?.bytes)).toContain('"availableTickets":1,')
    expect(topic.isBehind(shown)).toBe(false)
  })

  it('has a status if only the state of the sale has changed', () => {
    const opensAtMs = nowMs + 5000
    const topic = topicOf(stateOf({ opensAtMs }))
    const shown = topic.add(undefined, stateOf())
    topic.take(shown)
    expect(topic.nextTransitionMs()).toBe(opensAtMs)
    topic.update(stateOf({ opensAtMs, nowMs: opensAtMs }), { userIds: [] })
    expect(String(topic.take(shown)?.bytes)).toContain('"state":"open"')
    expect(topic.nextTransitionMs()).toBeUndefined()
  })

  it.each<[string, UserClaim | undefined]>([
    ['moves up', { standing: 'waiting', position: 2 }],
    ['gets an offer', { standing: 'held', bookingId: '7-3', expiresAt: new Date(), offered: true }],
    ['gets a booking', { standing: 'booked', bookingId: '7-3' }],
    ['leaves the list', undefined],
  ])('has a standing if the user %s', (_what, claim) => {
    const state = stateOf({ claims: waiting(3) })
    const topic = topicOf(state)
    const shown = topic.add('ada', state)
    topic.take(shown)
    const claims = new Map(claim === undefined ? [] : [['ada', claim]])
    topic.update(stateOf({ lastChange: 2, claims }), { userIds: ['ada'] })
    const due = topic.take(shown)
    expect(due).toMatchObject({ status: 1, standing: 1 })
    expect(String(due?.bytes)).toContain(`"standing":"${claim?.standing ?? 'none'}"`)
  })

  it('has no standing if only the claims of others have changed', () => {
    const held = (offered: boolean, expiresAt = new Date(nowMs)): Map<string, UserClaim> =>
      new Map([['ada', { standing: 'held', bookingId: '7-3', expiresAt, offered }]])
    for (const claims of [waiting(3), held(true), new Map()]) {
      const topic = topicOf(stateOf({ claims }))
      const shown = topic.add('ada', stateOf({ claims }))
      topic.take(shown)
      topic.update(stateOf({ lastChange: 2, claims: new Map(claims) }), { userIds: ['ada'] })
      expect(topic.take(shown)).toMatchObject({ status: 1, standing: 0 })
    }
    const topic = topicOf(stateOf({ claims: held(true) }))
    const shown = topic.add('ada', stateOf({ claims: held(true) }))
    topic.take(shown)
    const extended = held(true, new Date(nowMs + 1))
    topic.update(stateOf({ lastChange: 2, claims: extended }), { userIds: ['ada'] })
    expect(topic.take(shown)).toMatchObject({ standing: 1 })
  })

  it('asks for the claim of a user as long as a stream shows it', () => {
    const topic = topicOf(stateOf())
    const [first, second] = [topic.add('ada', stateOf()), topic.add('ada', stateOf())]
    topic.remove(first)
    expect([...topic.userIds()]).toEqual(['ada'])
    topic.remove(second)
    expect([...topic.userIds()]).toEqual([])
  })
})
