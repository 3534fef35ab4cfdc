import { expect, it } from 'vitest'
import { createServerClock } from './clock.js'

/** A clock on a machine whose time is an hour behind and whose steady clock shows `steadyMs`. */
function clockOf() {
  const machine = { steadyMs: 1000, wallMs: Date.parse('2030-01-31T17:00:00Z') }
  const clock = createServerClock(
    () => machine.steadyMs,
    () => machine.wallMs,
  )
  return { clock, machine }
}

it('shows the time of the machine until the server has sent its time', () => {
  const { clock, machine } = clockOf()
  expect(clock.nowMs()).toBe(machine.wallMs)
})

it('shows the time of the server, even if somebody adjusts the clock of the machine', () => {
  const { clock, machine } = clockOf()
  clock.observe('2030-01-31T18:00:00.000Z')
  machine.steadyMs += 5000
  machine.wallMs = 0
  expect(clock.nowMs()).toBe(Date.parse('2030-01-31T18:00:05.000Z'))
})

it('ignores a time that took longer to arrive, and a text that is not a time', () => {
  const { clock, machine } = clockOf()
  clock.observe('2030-01-31T18:00:00.000Z')
  machine.steadyMs += 5000
  clock.observe('2030-01-31T18:00:03.000Z')
  clock.observe('soon')
  expect(clock.nowMs()).toBe(Date.parse('2030-01-31T18:00:05.000Z'))
})

it('moves forward after the machine has slept', () => {
  const { clock } = clockOf()
  clock.observe('2030-01-31T18:00:00.000Z')
  clock.observe('2030-01-31T20:00:00.000Z')
  expect(clock.nowMs()).toBe(Date.parse('2030-01-31T20:00:00.000Z'))
})
