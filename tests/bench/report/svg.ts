/** One bar. It has several parts if it is stacked. */
export interface Bar {
  label: string
  parts: number[]
  /** The value as text, printed at the end of the bar. */
  value: string
}

export interface BarGroup {
  title: string
  bars: Bar[]
}

export interface BarChart {
  title: string
  subtitle: string
  groups: BarGroup[]
  /** Names of the parts of stacked bars, in order. */
  parts?: string[]
  /** `chart`: one scale for all groups. `group`: the longest bar of each group has full width. */
  scale: 'chart' | 'group'
}

const WIDTH = 840
const MARGIN = 20
const BARS_FROM = 150
const BARS_TO = 740
const ROW = 18
const GROUP_TITLE = 24
const GROUP_GAP = 10
const HEAD = 62
const LEGEND = 26
/** Opacity of the parts of a stacked bar. */
const SHADES = [1, 0.7, 0.45, 0.25]

/**
 * The chart has its own background, so that its text is readable even if the page is dark and the
 * reader's system is not.
 */
const STYLE = `
.page { fill: #ffffff; stroke: #d1d9e0 }
text { fill: #1f2328 }
.quiet { fill: #59636e }
.bar { fill: #8c959f }
.bar.first { fill: #1a7f5a }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; stroke: #3d444d }
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .bar { fill: #767e88 }
  .bar.first { fill: #3fb985 }
}
`

/**
 * Draws groups of horizontal bars on a linear scale that begins at zero. The first bar of each
 * group is highlighted.
 */
export function drawBars(chart: BarChart): string {
  const body: string[] = []
  let y = HEAD
  if (chart.parts !== undefined) {
    body.push(drawLegend(chart.parts, y))
    y += LEGEND
  }
  const longest = longestBar(chart.groups)
  for (const group of chart.groups) {
    const full = chart.scale === 'chart' ? longest : longestBar([group])
    body.push(
      `<text x="${MARGIN}" y="${y + 14}" font-weight="600">${escapeText(group.title)}</text>`,
    )
    y += GROUP_TITLE
    for (const [i, bar] of group.bars.entries()) {
      body.push(drawBar(bar, { y, full, first: i === 0 }))
      y += ROW
    }
    y += GROUP_GAP
  }
  const height = y + 6
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">`,
    `<title>${escapeText(`${chart.title}, ${chart.subtitle}`)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    `<text x="${MARGIN}" y="30" font-size="17" font-weight="600">${escapeText(chart.title)}</text>`,
    `<text class="quiet" x="${MARGIN}" y="49">${escapeText(chart.subtitle)}</text>`,
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

interface BarPlace {
  y: number
  /** Value of a bar of full width. */
  full: number
  first: boolean
}

function drawBar({ label, parts, value }: Bar, { y, full, first }: BarPlace): string {
  const drawn = [
    `<text x="${BARS_FROM - 10}" y="${y + 13}" text-anchor="end" font-size="12">${escapeText(label)}</text>`,
  ]
  let x = BARS_FROM
  for (const [i, part] of parts.entries()) {
    const width = (part / full) * (BARS_TO - BARS_FROM)
    drawn.push(
      `<rect class="bar${first ? ' first' : ''}" x="${round(x)}" y="${y + 2}" ` +
        `width="${round(width)}" height="${ROW - 4}" fill-opacity="${SHADES[i]}"/>`,
    )
    x += width
  }
  const weight = first ? ' font-weight="600"' : ''
  drawn.push(
    `<text x="${round(x + 7)}" y="${y + 13}" font-size="12"${weight}>${escapeText(value)}</text>`,
  )
  return drawn.join('')
}

function drawLegend(parts: string[], y: number): string {
  let x = MARGIN
  return parts
    .map((name, i) => {
      const drawn =
        `<rect class="bar first" x="${x}" y="${y - 1}" width="12" height="12" fill-opacity="${SHADES[i]}"/>` +
        `<text x="${x + 18}" y="${y + 10}" font-size="12">${escapeText(name)}</text>`
      x += 42 + name.length * 7
      return drawn
    })
    .join('')
}

function longestBar(groups: BarGroup[]): number {
  const lengths = groups.flatMap(({ bars }) =>
    bars.map(({ parts }) => parts.reduce((sum, part) => sum + part, 0)),
  )
  return Math.max(...lengths, Number.MIN_VALUE)
}

const round = (value: number): number => Math.round(value * 10) / 10

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
