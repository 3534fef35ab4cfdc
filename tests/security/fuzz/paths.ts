import type { Random } from '../../random.ts'

const SLASHES = [
  '//',
  '%2f',
  '%2F',
  '\\',
  '%5c',
  '/./',
  '/../',
  '/%2e/',
  '/%2e%2e/',
  '/..;/',
  ';/',
  '%252f',
  '/%20/',
  '%c0%af',
  '/x/../',
  '/;/',
  '%ef%bc%8f',
]
const BETWEEN = [
  '%00',
  '%0a',
  '%0d%0a',
  '%09',
  '%20',
  ';',
  ';x=1',
  '%3b',
  '%23',
  '%3f',
  '.',
  '~',
  '%e2%80%8b',
  '%',
  '%u002f',
  '\x80',
]
const FRONTS = [
  '/',
  '//',
  '///',
  '/.',
  '/./',
  '/x/..',
  '/%2e%2e',
  'http://localhost',
  'http://localhost/',
  'HTTP://x:1',
  '//localhost',
  '/book/..',
  '/livez/../',
  '\\',
]
const ENDS = [
  '/',
  '//',
  '/.',
  '/..',
  '%2f',
  '%00',
  '.json',
  ';',
  '/*',
  '%0a',
  '?',
  '??',
  '?x=%2541',
  '/%2e',
  '#x',
  '.html',
  '/index',
]

/** Another spelling of a path, never the path itself. */
export function unusualPath(path: string, random: Random): string {
  let spelled = path
  do spelled = random.pick(WAYS)(spelled, random)
  while (spelled === path || random.chance(0.35))
  return spelled
}

const WAYS: ((path: string, random: Random) => string)[] = [
  (path, random) => replaceOne(path, '/', random.pick(SLASHES), random),
  (path, random) => insert(path, random.pick(BETWEEN), random),
  (path, random) => random.pick(FRONTS) + path,
  (path, random) => path + random.pick(ENDS),
  (path, random) =>
    [...path].map((letter) => (random.chance(0.3) ? letter.toUpperCase() : letter)).join(''),
  (path, random) => escapeOne(path, random),
  (path, random) => escapeOne(path, random).replaceAll('%', '%25'),
]

/** `count` distinct spellings. */
export function unusualPaths(path: string, count: number, random: Random): string[] {
  const found = new Set<string>()
  while (found.size < count) found.add(unusualPath(path, random))
  return [...found]
}

function replaceOne(path: string, what: string, by: string, random: Random): string {
  const places = [...path.matchAll(new RegExp(what, 'g'))].map(({ index }) => index)
  if (places.length === 0) return path
  const at = random.pick(places)
  return path.slice(0, at) + by + path.slice(at + what.length)
}

function insert(path: string, what: string, random: Random): string {
  const at = random.between(1, path.length)
  return path.slice(0, at) + what + path.slice(at)
}

function escapeOne(path: string, random: Random): string {
  const at = random.between(1, Math.max(1, path.length - 1))
  const hex = (path.charCodeAt(at) || 0x2f).toString(16).padStart(2, '0')
  return `${path.slice(0, at)}%${random.chance(0.5) ? hex : hex.toUpperCase()}${path.slice(at + 1)}`
}
