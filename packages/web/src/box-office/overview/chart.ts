import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { number } from '../../format.js'
import { columnsOf, type Series } from './samples.js'

export interface Charts {
  show(series: Series): void
  remove(): void
}

const COUNTS_HEIGHT_PX = 260
const RATE_HEIGHT_PX = 160
/** The chart shows at least this much time, s. */
const SHORTEST_SPAN_S = 60
const AXIS_WIDTH_PX = 64
/** Distances between grid lines. They are whole numbers, because there is no half ticket. */
const WHOLE_STEPS = [1, 10, 100, 1000, 10_000, 100_000].flatMap((ten) => [ten, 2 * ten, 5 * ten])

const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

/**
 * Draws bookings and waiting list above decisions a second. Both charts share their time axis. The
 * colors are those of the stylesheet, in light and dark.
 */
export function drawCharts(root: HTMLElement): Charts {
  const color = (name: string) => () => getComputedStyle(root).getPropertyValue(name).trim()
  const axis = { stroke: color('--chart-text'), grid: { stroke: color('--chart-grid'), width: 1 } }
  const shared: Partial<uPlot.Options> = {
    cursor: { sync: { key: 'box-office' }, drag: { x: false, y: false } },
    legend: { show: false },
    // The last time of the axis needs room on the right.
    padding: [8, 32, 0, 0],
  }
  const time: uPlot.Scale = {
    time: true,
    // The default for a single point is a whole day.
    range({ data: [at] }) {
      const first = at[0] ?? 0
      return [first, Math.max(at[at.length - 1] ?? 0, first + SHORTEST_SPAN_S)]
    },
  }
  const fromZero: uPlot.Scale = {
    range: { min: { pad: 0, soft: 0, mode: 1 }, max: { pad: 0.1, soft: 1, mode: 1 } },
  }
  const axes: uPlot.Axis[] = [
    {
      ...axis,
      values: (_, splits) => splits.map((seconds) => clockTime.format(seconds * 1000)),
      space: 90,
    },
    {
      ...axis,
      size: AXIS_WIDTH_PX,
      incrs: WHOLE_STEPS,
      values: (_, splits) => splits.map(number),
    },
  ]
  const line = (name: string, label: string): uPlot.Series => ({
    label,
    stroke: color(name),
    width: 2,
    points: { show: false },
  })

  function draw(heightPx: number, series: uPlot.Series[]): uPlot {
    const size = { width: root.clientWidth, height: heightPx }
    const options = { ...shared, ...size, axes, scales: { x: time, y: fromZero } }
    return new uPlot({ ...options, series: [{}, ...series] }, undefined, root)
  }
  const counts = draw(COUNTS_HEIGHT_PX, [
    line('--chart-booked', 'Booked'),
    line('--chart-waiting', 'Waiting'),
  ])
  const rate = draw(RATE_HEIGHT_PX, [line('--chart-rate', 'Decisions a second')])
  const both = [counts, rate]

  const resized = new ResizeObserver(() => {
    for (const chart of both) chart.setSize({ width: root.clientWidth, height: chart.height })
  })
  resized.observe(root)
  const scheme = matchMedia('(prefers-color-scheme: dark)')
  const redraw = (): void => {
    for (const chart of both) chart.redraw()
  }
  scheme.addEventListener('change', redraw)

  return {
    show(series) {
      const [at, booked, waiting, rates] = columnsOf(series)
      counts.setData([at, booked, waiting])
      rate.setData([at, rates])
    },
    remove() {
      resized.disconnect()
      scheme.removeEventListener('change', redraw)
      for (const chart of both) chart.destroy()
    },
  }
}
