import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'

type Bytes = Uint8Array<ArrayBuffer>

/** A file of packages/web, with the compressed copies that its build wrote. */
export interface BuiltFile {
  mediaType: string
  /** Opaque tag of the content. The entity tag of a response also names the encoding. */
  digest: string
  bytes: Bytes
  compressed: { br: Bytes; gzip: Bytes }
}

/** What the build of packages/web wrote. */
export interface BuiltFiles {
  pages: { home: BuiltFile; event: BuiltFile; boxOffice: BuiltFile }
  /** By their names, which change with their content. */
  assets: ReadonlyMap<string, BuiltFile>
}

const MEDIA_TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Reads all files at once, so that no request waits for a disk.
 *
 * @throws if packages/web was not built
 */
export async function readBuiltFiles(folder = folderOfBuild()): Promise<BuiltFiles> {
  const names = await readdir(join(folder, 'assets'))
  const [home, event, boxOffice, ...assets] = await Promise.all([
    readBuiltFile(join(folder, 'home.html')),
    readBuiltFile(join(folder, 'event.html')),
    readBuiltFile(join(folder, 'box-office.html')),
    ...names
      .filter((name) => extname(name) in MEDIA_TYPES)
      .map(async (name) => [name, await readBuiltFile(join(folder, 'assets', name))] as const),
  ])
  return { pages: { home, event, boxOffice }, assets: new Map(assets) }
}

async function readBuiltFile(path: string): Promise<BuiltFile> {
  const [bytes, br, gzip] = await Promise.all(
    ['', '.br', '.gz'].map((ending) => readFile(`${path}${ending}`) as Promise<Bytes>),
  )
  if (bytes === undefined || br === undefined || gzip === undefined) throw new Error(path)
  return {
    mediaType: MEDIA_TYPES[extname(path)] ?? 'application/octet-stream',
    digest: createHash('sha256').update(bytes).digest('base64url').slice(0, 22),
    bytes,
    compressed: { br, gzip },
  }
}

function folderOfBuild(): string {
  const manifest = createRequire(import.meta.url).resolve('@ticket-line/web/package.json')
  return join(dirname(manifest), 'dist')
}
