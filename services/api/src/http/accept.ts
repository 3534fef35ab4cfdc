interface Rating {
  /** From 0 to 1; 0 means not acceptable. */
  quality: number
  /** 2 if the header names the media type itself, 1 for `type/*`, 0 for any type, -1 for none. */
  specificity: number
}

/**
 * Rates a media type by an `Accept` header. The most specific range counts (RFC 9110, section
 * 12.5.1).
 */
function rate(accept: string, mediaType: string): Rating {
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
  return best
}

/** True if the client can decode a content coding (RFC 9110, section 12.5.3). */
export function acceptsEncoding(accept: string | undefined, encoding: string): boolean {
  const weights = new Map(
    (accept ?? '').split(',').map((element): [string, number] => {
      const [coding = '', weight = ''] = element.split(';').map((part) => part.trim().toLowerCase())
      return [coding, weight.startsWith('q=') ? Number(weight.slice(2)) : 1]
    }),
  )
  return (weights.get(encoding) ?? weights.get('*') ?? 0) > 0
}

/** True if the client prefers a media type to JSON. A client that names neither gets JSON. */
export function prefers(mediaType: string, accept: string | undefined): boolean {
  if (accept === undefined) return false
  return rate(accept, mediaType).quality > rate(accept, 'application/json').quality
}

/**
 * True if the client prefers a page to JSON: it rates HTML higher, or it rates both the same and
 * names HTML more specifically, as some browsers do.
 */
export function prefersHtml(accept: string | undefined): boolean {
  if (accept === undefined) return false
  const [html, json] = [rate(accept, 'text/html'), rate(accept, 'application/json')]
  if (html.quality !== json.quality) return html.quality > json.quality
  return html.quality > 0 && html.specificity > json.specificity
}
