import { isIP } from 'node:net'

/** An IPv4 address that came over an IPv6 socket, as IPv4. */
function unwrap(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/**
 * The client's address. Each proxy adds the address it was called from at the end of `X-Forwarded-For`, so with `hops`
 * trusted proxies the client's stands that many from the end; what is further left, the client wrote itself.
 * @param remote the peer of the socket
 * @param forwardedFor the header, looked at only where `hops` is above 0
 */
export function clientAddress(remote: string, forwardedFor: string | undefined, hops: number): string {
  if (hops > 0 && forwardedFor !== undefined) {
    const addresses = forwardedFor.split(',')
    const claimed = unwrap(addresses[Math.max(0, addresses.length - hops)]?.trim() ?? '')
    if (isIP(claimed) !== 0) return claimed
  }
  return unwrap(remote)
}
