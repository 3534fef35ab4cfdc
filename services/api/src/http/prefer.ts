/** Maximum `wait` that a client can request, s. */
export const MAX_WAIT_SECONDS = 30

/** The preferences of a client (RFC 7240) that this service supports. */
export interface Preferences {
  /** `wait`, capped at {@link MAX_WAIT_SECONDS}. */
  waitSeconds?: number | undefined
  respondAsync?: true | undefined
  return?: 'minimal' | 'representation' | undefined
}

const NONE: Preferences = Object.freeze({})

const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/
const QUOTED = /^"(?:[^"\\]|\\.)*"$/

/** Splits a text at a separator, except inside quoted strings (RFC 9110, section 5.6.4). */
function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = []
  let start = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (character === '"') quoted = !quoted
    else if (quoted && character === '\\') i++
    else if (!quoted && character === separator) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

/**
 * Parses `token`, `token=token` or `token="quoted"` without its parameters.
 *
 * @returns `undefined` for anything else
 */
function parseElement(element: string): { name: string; value: string } | undefined {
  const preference = splitOutsideQuotes(element, ';')[0] as string
  const equals = preference.indexOf('=')
  const name = (equals < 0 ? preference : preference.slice(0, equals)).trim().toLowerCase()
  const word = equals < 0 ? '' : preference.slice(equals + 1).trim()
  if (!TOKEN.test(name)) return undefined
  if (word === '' || TOKEN.test(word)) return { name, value: word }
  return QUOTED.test(word) ? { name, value: word.slice(1, -1).replace(/\\(.)/g, '$1') } : undefined
}

/** Parses a `Prefer` header. Unknown and malformed preferences are ignored. */
export function parsePrefer(header: string | undefined): Preferences {
  if (header === undefined || header === '') return NONE
  const preferences: Preferences = {}
  let hasBoth = false
  for (const element of splitOutsideQuotes(header, ',')) {
    const preference = parseElement(element)
    if (preference === undefined) continue
    const { name, value } = preference
    // If a preference is repeated, the first one counts (section 2).
    if (name === 'wait' && /^\d+$/.test(value)) {
      preferences.waitSeconds ??= Math.min(Number(value), MAX_WAIT_SECONDS)
    } else if (name === 'respond-async' && value === '') {
      preferences.respondAsync = true
    } else if (name === 'return' && (value === 'minimal' || value === 'representation')) {
      preferences.return ??= value
      hasBoth ||= preferences.return !== value
    }
  }
  // Both values of `return` contradict each other, so neither counts (section 4.2).
  if (hasBoth) delete preferences.return
  return preferences
}

/**
 * Writes the `Preference-Applied` header for the preferences that were used.
 *
 * @returns `undefined` if none was used
 */
export function preferenceApplied(used: Preferences): string | undefined {
  const applied: string[] = []
  if (used.respondAsync) applied.push('respond-async')
  if (used.waitSeconds !== undefined) applied.push(`wait=${used.waitSeconds}`)
  if (used.return !== undefined) applied.push(`return=${used.return}`)
  return applied.length === 0 ? undefined : applied.join(', ')
}
