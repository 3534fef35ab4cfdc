import { BlockList, isIP, isIPv4 } from 'node:net'

/** The proxies whose entries in `X-Forwarded-For` are trusted. */
export interface TrustedProxies {
  /** Number of proxies in front of the service, whatever their addresses. */
  hops: number
  /** All proxies in these networks are trusted, too. */
  networks: BlockList | undefined
}

export interface ClientAddressDeps {
  trust: TrustedProxies
  /** Called once, with the first entry of `X-Forwarded-For` that is not an address. */
  onUnknownForm: (entry: string) => void
}

/** Finds a client's address from the peer of its socket and from `X-Forwarded-For`. */
export type ClientAddressOf = (remote: string, forwardedFor: string | undefined) => string

/**
 * Each proxy appends the address of its client to `X-Forwarded-For`. The entries are read from the
 * end for as long as a trusted proxy wrote them. The client may have forged the others.
 */
export function createClientAddress({ trust, onUnknownForm }: ClientAddressDeps): ClientAddressOf {
  const { hops, networks } = trust
  let reported = false

  function parse(entry: string): string | undefined {
    const address = parseAddress(entry)
    if (address === undefined && entry !== '' && !reported) {
      reported = true
      onUnknownForm(entry.slice(0, 100))
    }
    return address
  }

  return (remote, forwardedFor) => {
    let address = unwrap(remote)
    if (forwardedFor === undefined) return address
    const entries = forwardedFor.split(',')
    let writer: string | undefined = address
    for (let hop = 0; hop < entries.length; hop++) {
      if (hop >= hops && !isIn(networks, writer)) break
      writer = parse(entries[entries.length - 1 - hop]?.trim() ?? '')
      if (writer !== undefined) address = writer
    }
    return address
  }
}

// Some proxies add the port, enclose IPv6 addresses in brackets, or quote the entry (RFC 7239).
const IPV4_WITH_PORT = /^([\d.]+):\d{1,5}$/
const IPV6_IN_BRACKETS = /^\[([^\]]+)\](?::\d{1,5})?$/
const QUOTED = /^"(.*)"$/

/** Reads an address in any form that proxies write, without port, brackets and quotes. */
function parseAddress(entry: string): string | undefined {
  if (isIP(entry) !== 0) return unwrap(entry)
  const text = QUOTED.exec(entry)?.[1] ?? entry
  const address = IPV4_WITH_PORT.exec(text)?.[1] ?? IPV6_IN_BRACKETS.exec(text)?.[1] ?? text
  return isIP(address) === 0 ? undefined : unwrap(address)
}

/** Converts an IPv4-mapped IPv6 address to IPv4. */
function unwrap(address: string): string {
  const dotted = address.slice(address.lastIndexOf(':') + 1)
  return /^::ffff:/i.test(address) && isIPv4(dotted) ? dotted : address
}

function isIn(networks: BlockList | undefined, address: string | undefined): boolean {
  if (networks === undefined || address === undefined) return false
  return networks.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/**
 * Parses a list of networks such as `10.0.0.0/8, 192.0.2.7, 2001:db8::/32`.
 *
 * @returns `undefined` if an entry is not a network
 */
export function parseNetworks(text: string): BlockList | undefined {
  const networks = new BlockList()
  for (const entry of text.split(',').map((part) => part.trim())) {
    const [address = '', prefix, ...more] = entry.split('/')
    const family = isIP(address)
    const bits = family === 4 ? 32 : 128
    const length =
      prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
    if (family === 0 || more.length > 0 || !(length <= bits)) return undefined
    networks.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  }
  return networks
}
