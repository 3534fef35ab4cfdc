/** Quality that an `Accept` header gives to a media type; the most specific range that names it counts (RFC 9110, section 12.5.1). */
function qualityOf(accept: string, mediaType: string): number {
  const [type] = mediaType.split('/')
  const ranges = ['*/*', `${type}/*`, mediaType]
  let best = { specificity: -1, quality: 0 }
  for (const element of accept.split(',')) {
    const [range = '', ...parameters] = element.split(';').map((part) => part.trim().toLowerCase())
    const specificity = ranges.indexOf(range)
    if (specificity <= best.specificity) continue
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    const quality = weight === undefined ? 1 : Number(weight.slice(2))
    best = { specificity, quality: Number.isFinite(quality) ? quality : 0 }
  }
  return best.quality
}

/** True where the client would rather have CSV than JSON. Without a word on either it gets JSON. */
export function prefersCsv(accept: string | undefined): boolean {
  if (accept === undefined) return false
  return qualityOf(accept, 'text/csv') > qualityOf(accept, 'application/json')
}
