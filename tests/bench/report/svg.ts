/** One bar, or one stacked from several parts. */
export interface Bar {
  /** Which series it belongs to: chooses its colour and its place in the legend. */
  series: number
  parts: number[]
  label: string
}

export interface BarChart {
  title: string
  series: string[]
  /** Names of the parts where bars are stacked. */
  parts?: string[]
  groups: { title: string; bars: Bar[] }[]
  /** Logarithmic from this value on; linear from zero where absent. */
  logFrom?: number
}

const WIDTH = 860
const LABELS = 250
const VALUES = 90
const BAR = 15
const GROUP_GAP = 14
const HEAD = 64
const COLOURS = ['#1f7a5c', '#c2571a', '#3b6fb5']
const SHADES = [1, 0.72, 0.5, 0.32]

/** A chart of horizontal bars in groups, readable on light and on dark pages. */
export function drawBars(chart: BarChart): string {
  const scale = scaleOf(chart)
  const body: string[] = []
  let y = HEAD
  for (const { title, bars } of chart.groups) {
    const middle = y + (bars.length * BAR) / 2 + 4
    body.push(`<text x="${LABELS - 10}" y="${middle}" text-anchor="end">${plain(title)}</text>`)
    for (const bar of bars) {
      body.push(drawBar(bar, y, scale))
      y += BAR
    }
    y += GROUP_GAP
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${plain(chart.title)}</title>`,
    '<style>text { fill: #24292f } @media (prefers-color-scheme: dark) { text { fill: #d0d7de } }</style>',
    `<text x="10" y="20" font-size="15" font-weight="600">${plain(chart.title)}</text>`,
    ...drawLegend(chart),
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

function scaleOf({ groups, logFrom }: BarChart): (value: number) => number {
  const totals = groups.flatMap(({ bars }) => bars.map(({ parts }) => total(parts)))
  const highest = Math.max(...totals, Number.MIN_VALUE)
  const room = WIDTH - LABELS - VALUES
  if (logFrom === undefined) return (value) => (value / highest) * room
  const decades = Math.log10(highest / logFrom)
  return (value) => Math.max(1, (Math.log10(Math.max(value, logFrom) / logFrom) / decades) * room)
}

function drawBar(
  { series, parts, label }: Bar,
  y: number,
  scale: (value: number) => number,
): string {
  const drawn: string[] = []
  let x = LABELS
  for (const [i, part] of parts.entries()) {
    const width = scale(part)
    const fill = `fill="${COLOURS[series]}" fill-opacity="${parts.length === 1 ? 1 : SHADES[i]}"`
    drawn.push(
      `<rect x="${round(x)}" y="${y + 1}" width="${round(width)}" height="${BAR - 2}" ${fill}/>`,
    )
    x += width
  }
  return `${drawn.join('')}<text x="${round(x + 5)}" y="${y + 11}" font-size="11">${plain(label)}</text>`
}

function drawLegend({ series, parts = [] }: BarChart): string[] {
  const entries = [
    ...series.map((name, i) => ({ name, fill: `fill="${COLOURS[i]}"` })),
    ...parts.map((name, i) => ({ name, fill: `fill="#888" fill-opacity="${SHADES[i]}"` })),
  ]
  let x = 10
  return entries.map(({ name, fill }) => {
    const drawn = `<rect x="${x}" y="34" width="11" height="11" ${fill}/><text x="${x + 16}" y="44">${plain(name)}</text>`
    x += 34 + name.length * 7
    return drawn
  })
}

const total = (parts: number[]): number => parts.reduce((sum, part) => sum + part, 0)
const round = (value: number): number => Math.round(value * 10) / 10

function plain(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
