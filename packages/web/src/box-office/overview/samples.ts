/** What is known of an event at one moment. */
export interface Counts {
  /** By the clock of the server. */
  atMs: number
  /** Number of the last change of the event. */
  changeNo: number
  booked: number
  waiting: number
}

/** One point of the chart. */
export interface Sample {
  /** When its interval begins. */
  atMs: number
  /** At the end of the interval. */
  booked: number
  waiting: number
  /** Changes that were decided in the interval. It may be fractional. */
  changes: number
}

/** The points of the chart, without gaps, one per interval. */
export interface Series {
  stepMs: number
  samples: readonly Sample[]
  last: Counts
}

const FIRST_STEP_MS = 1000
/** When there are more samples, each pair of them becomes one. */
const MAX_SAMPLES = 600
/**
 * The API sends an update at least this often while an event changes, unless more than 10,000
 * streams are open. So the changes of an update are no older than this.
 */
const LONGEST_UPDATE_MS = 5000

/** Begins a chart with the first update. */
export function startSeries(counts: Counts): Series {
  const { atMs, booked, waiting } = counts
  const first = { atMs: floor(atMs, FIRST_STEP_MS), booked, waiting, changes: 0 }
  return { stepMs: FIRST_STEP_MS, samples: [first], last: counts }
}

/** Adds an update to a chart, and spreads its changes over the time since the last one. */
export function addCounts(series: Series, counts: Counts): Series {
  const { last } = series
  if (counts.atMs < last.atMs || counts.changeNo < last.changeNo) return series
  const { stepMs, samples } = extendTo(series, counts.atMs)
  const { booked, waiting } = counts
  const changes = counts.changeNo - last.changeNo
  const fromMs = Math.max(last.atMs, counts.atMs - LONGEST_UPDATE_MS)
  const end = samples.length - 1
  const next = samples.map((sample, index) => {
    const share = changes * overlap(fromMs, counts.atMs, sample.atMs, stepMs)
    const own = index === end ? { booked, waiting } : {}
    return share === 0 && index !== end
      ? sample
      : { ...sample, ...own, changes: sample.changes + share }
  })
  return { stepMs, samples: next, last: counts }
}

/** Continues a chart while nothing changes. */
export function extendTo(series: Series, nowMs: number): Series {
  let { stepMs } = series
  const samples = [...series.samples]
  const end = (): Sample => samples[samples.length - 1] as Sample
  while (end().atMs + stepMs <= nowMs) {
    // After a long pause, this makes no samples that would be merged at once.
    while (nowMs - (samples[0] as Sample).atMs >= MAX_SAMPLES * stepMs) {
      stepMs *= 2
      samples.splice(0, samples.length, ...halve(samples, stepMs))
    }
    if (end().atMs + stepMs > nowMs) break
    samples.push({ ...end(), atMs: end().atMs + stepMs, changes: 0 })
  }
  return { ...series, stepMs, samples }
}

/** Decisions a second in the latest seconds of a chart, without the interval that is not over. */
export function rateOf({ samples, stepMs }: Series): number {
  const count = Math.max(1, Math.round(LONGEST_UPDATE_MS / stepMs))
  const latest = samples.slice(-count - 1, -1)
  if (latest.length === 0) return 0
  const changes = latest.reduce((sum, sample) => sum + sample.changes, 0)
  return (changes * 1000) / (latest.length * stepMs)
}

/**
 * The columns of the chart: times in seconds, bookings, people on the list, decisions a second. The
 * last interval is not over, so it has no rate yet.
 */
export function columnsOf({
  samples,
  stepMs,
}: Series): [at: number[], booked: number[], waiting: number[], rate: (number | null)[]] {
  const end = samples.length - 1
  return [
    samples.map(({ atMs }) => atMs / 1000),
    samples.map(({ booked }) => booked),
    samples.map(({ waiting }) => waiting),
    samples.map(({ changes }, index) => (index === end ? null : (changes * 1000) / stepMs)),
  ]
}

/** Makes samples of twice the length. */
function halve(samples: readonly Sample[], stepMs: number): Sample[] {
  const halved: Sample[] = []
  for (const sample of samples) {
    const atMs = floor(sample.atMs, stepMs)
    const previous = halved[halved.length - 1]
    if (previous?.atMs === atMs)
      halved[halved.length - 1] = { ...sample, atMs, changes: previous.changes + sample.changes }
    else halved.push({ ...sample, atMs })
  }
  return halved
}

/** The part of a time that is in the interval of a sample, 0 to 1. */
function overlap(fromMs: number, toMs: number, atMs: number, stepMs: number): number {
  if (fromMs === toMs) return atMs <= toMs && toMs < atMs + stepMs ? 1 : 0
  return Math.max(0, Math.min(toMs, atMs + stepMs) - Math.max(fromMs, atMs)) / (toMs - fromMs)
}

function floor(ms: number, stepMs: number): number {
  return Math.floor(ms / stepMs) * stepMs
}
