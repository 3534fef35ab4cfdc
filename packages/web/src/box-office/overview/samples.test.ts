import { describe, expect, it } from 'vitest'
import { addCounts, columnsOf, extendTo, rateOf, startSeries } from './samples.js'

const START_MS = Date.parse('2030-01-31T18:00:00.000Z')

function counts(afterMs: number, changeNo: number, booked = changeNo, waiting = 0) {
  return { atMs: START_MS + afterMs, changeNo, booked, waiting }
}

function total(series: Parameters<typeof rateOf>[0]): number {
  return series.samples.reduce((sum, { changes }) => sum + changes, 0)
}

describe('the samples of the chart', () => {
  it('begin with the first update, whose changes happened before', () => {
    const series = startSeries(counts(300, 25))
    expect(columnsOf(series)).toEqual([[START_MS / 1000], [25], [0], [null]])
  })

  it('have one point a second', () => {
    let series = startSeries(counts(0, 0))
    series = addCounts(series, counts(1000, 10))
    series = addCounts(series, counts(2000, 30, 25, 5))
    const [at, booked, waiting] = columnsOf(series)
    expect(at.map((seconds) => seconds * 1000 - START_MS)).toEqual([0, 1000, 2000])
    expect(booked).toEqual([0, 10, 25])
    expect(waiting).toEqual([0, 0, 5])
  })

  it('spread the changes of an update over the time since the last one', () => {
    let series = startSeries(counts(0, 0))
    series = addCounts(series, counts(4000, 40))
    expect(columnsOf(series)[3]).toEqual([10, 10, 10, 10, null])
  })

  it('count no change at a time that is too long before its update', () => {
    let series = startSeries(counts(0, 0))
    series = addCounts(series, counts(20_000, 10))
    const rates = columnsOf(series)[3]
    expect(rates.slice(0, 15)).toEqual(Array(15).fill(0))
    expect(rates.slice(15, 20)).toEqual([2, 2, 2, 2, 2])
  })

  it('count each change once, whatever the times of the updates are', () => {
    let series = startSeries(counts(0, 100))
    let [atMs, changeNo] = [0, 100]
    for (let index = 0; index < 3000; index++) {
      atMs += (index * 379) % 2500
      changeNo += index % 7
      series = addCounts(series, counts(atMs, changeNo))
    }
    expect(total(series)).toBeCloseTo(changeNo - 100, 5)
    expect(series.samples.length).toBeLessThanOrEqual(600)
  })

  it('count the changes of an update that comes at the same millisecond', () => {
    let series = startSeries(counts(0, 0))
    series = addCounts(series, counts(0, 3))
    expect(total(series)).toBe(3)
  })

  it('ignore an update that is older than the last one', () => {
    const series = addCounts(startSeries(counts(0, 0)), counts(1000, 10))
    expect(addCounts(series, counts(500, 5))).toBe(series)
  })

  it('continue while nothing changes', () => {
    const series = extendTo(startSeries(counts(0, 8)), START_MS + 3500)
    expect(columnsOf(series)[1]).toEqual([8, 8, 8, 8])
    expect(columnsOf(series)[3]).toEqual([0, 0, 0, null])
  })

  it('become coarser when there are many, and cover the same time', () => {
    const series = extendTo(startSeries(counts(0, 8)), START_MS + 3_600_000)
    const [at] = columnsOf(series)
    expect(series.stepMs).toBe(8000)
    expect(at[0]).toBe(START_MS / 1000)
    expect(at.length).toBeLessThanOrEqual(600)
    expect(new Set(at.slice(1).map((s, index) => s - (at[index] as number)))).toEqual(new Set([8]))
  })

  it('show the decisions a second of the latest five seconds', () => {
    let series = startSeries(counts(0, 0))
    series = addCounts(series, counts(5000, 500))
    expect(rateOf(series)).toBeCloseTo(100)
    expect(rateOf(extendTo(series, START_MS + 20_000))).toBe(0)
  })
})
