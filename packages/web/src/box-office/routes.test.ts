import { describe, expect, it } from 'vitest'
import { EVENT_VIEWS, fragmentOf, type Route, routeOf } from './routes.js'

describe('the fragments of the box office', () => {
  it('reads each fragment that it writes', () => {
    const routes: Exclude<Route, { view: 'unknown' }>[] = [
      { view: 'events' },
      { view: 'new' },
      { view: 'keys' },
      { view: 'webhooks' },
      { view: 'deliveries', webhookId: '7f/ä' },
      ...EVENT_VIEWS.map((view) => ({ view, eventId: 1001 })),
    ]
    for (const route of routes) expect(routeOf(fragmentOf(route))).toEqual(route)
  })

  it('shows the list of events without a fragment', () => {
    for (const fragment of ['', '#', '#/', '#/events', '#/events/'])
      expect(routeOf(fragment)).toEqual({ view: 'events' })
  })

  it('shows the overview of an event by its id alone', () => {
    expect(routeOf('#/events/9007199254740991')).toEqual({
      view: 'overview',
      eventId: Number.MAX_SAFE_INTEGER,
    })
  })

  it('knows no views for other fragments', () => {
    const others = [
      '#/nothing',
      '#/new/1',
      '#/events/0',
      '#/events/1.5',
      '#/events/abc',
      '#/events/9007199254740992',
      '#/events/1001/nothing',
      '#/events/1001/bookings/2',
      '#/webhooks/1/2',
      '#/webhooks/%',
    ]
    for (const fragment of others) expect(routeOf(fragment)).toEqual({ view: 'unknown' })
  })
})
