import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSlots, type Slots } from './slots.js'

let slots: Slots
let freed: [webhookId: string, slots: number][]

beforeEach(() => {
  vi.useFakeTimers()
  freed = []
  slots = createSlots((webhookId, free) => freed.push([webhookId, free]), {
    wallMs: () => Date.now(),
    steadyMs: () => Date.now(),
  })
})
afterEach(() => void vi.useRealTimers())

const enterAll = (webhookId: string, times: number): boolean[] =>
  Array.from({ length: times }, () => slots.enter(webhookId))

describe('the slots of an endpoint', () => {
  it('are 20, whatever other endpoints do', () => {
    expect(enterAll('slow', 25).filter(Boolean)).toHaveLength(20)
    expect(slots.enter('other')).toBe(true)
    expect(slots.count()).toBe(21)
  })

  it('ask for the jobs that they turned away when half of them are free, or after 250 ms', () => {
    enterAll('a', 21)
    for (let i = 0; i < 9; i++) slots.leave('a')
    expect(freed).toEqual([])
    slots.leave('a')
    expect(freed).toEqual([['a', 10]])
    enterAll('a', 11)
    slots.leave('a')
    vi.advanceTimersByTime(250)
    expect(freed).toEqual([
      ['a', 10],
      ['a', 1],
    ])
  })

  it('admit as many jobs as can run, and ask for the others later', () => {
    expect(slots.admit('a', 5)).toBe(5)
    expect(slots.admit('a', 500)).toBe(20)
    expect(slots.admit('a', 5)).toBe(0)
    vi.advanceTimersByTime(250)
    expect(freed).toEqual([['a', 20]])
    expect(slots.admit('a', 5)).toBe(5)
  })

  it('ask for no jobs if they turned none away', () => {
    enterAll('a', 20)
    slots.leave('a')
    expect(freed).toEqual([])
  })

  it('are one, with a pause of a second, after three failures in a row', () => {
    for (let i = 0; i < 3; i++) slots.failed('down', 0)
    expect(slots.enter('down')).toBe(false)
    vi.advanceTimersByTime(1000)
    expect(freed).toEqual([['down', 1]])
    expect(enterAll('down', 2)).toEqual([true, false])
  })

  it('are all free again after a success', () => {
    for (let i = 0; i < 5; i++) slots.failed('down', 0)
    vi.advanceTimersByTime(1000)
    slots.succeeded('down')
    expect(enterAll('down', 20).every(Boolean)).toBe(true)
  })

  it('are closed for as long as the endpoint asks to wait', () => {
    slots.failed('busy', 60_000)
    expect(slots.enter('busy')).toBe(false)
    vi.advanceTimersByTime(59_000)
    expect(freed).toEqual([])
    vi.advanceTimersByTime(1000)
    expect(freed).toEqual([['busy', 20]])
  })

  it('are open at once after a reset', () => {
    slots.failed('busy', 60_000)
    slots.reset('busy')
    expect(freed).toEqual([['busy', 20]])
    expect(slots.enter('busy')).toBe(true)
  })
})
