import { isIPv6 } from 'node:net'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'

/**
 * The key under which a rate limit counts a request: the one that the handler chose, otherwise the
 * user, otherwise the address. Requests with an API key do not use it, because their windows
 * differ.
 */
export function rateLimitKey(c: Context<AppEnv>): string {
  const chosen = c.get('rateLimitKey')
  if (chosen !== undefined) return chosen
  const principal = c.get('principal')
  return principal === undefined ? clientAddressKey(c) : `u:${principal.userId}`
}

export function clientAddressKey(c: Context<AppEnv>): string {
  return `a:${addressKey(c.get('clientAddress'))}`
}

/**
 * Groups addresses that one client can use. An IPv6 client has at least a /64 and can use any of
 * its addresses, so all of them share one key. An IPv4-mapped IPv6 address counts as its IPv4
 * address.
 */
export function addressKey(address: string): string {
  // The zone names an interface of this machine, not a client (RFC 4007).
  const [plain = ''] = address.split('%')
  if (!isIPv6(plain)) return plain
  const groups = expand(plain)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped)
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join('.')
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`
}

/** The eight groups of a valid IPv6 address. */
function expand(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const left = groupsOf(head)
  const right = groupsOf(tail ?? '')
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}
