/** How a download ended. */
export type Saved =
  | { kind: 'saved' }
  /** The person chose no file. */
  | { kind: 'canceled' }
  /** The person, or an API key of theirs, is downloading another list. */
  | { kind: 'another_runs' }

export interface Download {
  fileName: string
  /** Whether the list has more than one page. */
  isLong: boolean
  /** Asks the API for the list. */
  open: () => Promise<Opened>
  /** Called while the list arrives, with what has arrived so far, bytes. */
  onProgress: (bytes: number) => void
}

export type Opened =
  | { kind: 'opened'; body: ReadableStream<Uint8Array<ArrayBuffer>> }
  | { kind: 'another_runs' }

/** What the browser does for a download. */
export interface Files {
  /** Asks the person for a file, and opens it. Absent if the browser cannot write files. */
  pick?: (fileName: string) => Promise<FileSystemWritableFileStream>
  /** Puts a file into the folder for downloads. */
  download: (blob: Blob, fileName: string) => void
}

/**
 * Saves a list as a file. A page cannot let the browser download it, because the request needs the
 * token. A long list goes straight into the file if the browser can do that (Chromium, on pages of
 * HTTPS and localhost). Otherwise all of it is collected in a Blob first.
 *
 * @throws what `open` throws, and an error if the connection breaks before the end of the list
 */
export async function saveCsv(
  { fileName, isLong, open, onProgress }: Download,
  files: Files = browserFiles(),
): Promise<Saved> {
  // The person is asked first: a browser shows the dialog only as a reaction to a click.
  const file = isLong && files.pick ? await picked(files.pick(fileName)) : undefined
  if (file === 'canceled') return { kind: 'canceled' }
  const opened = await open().catch(async (error: unknown) => {
    await file?.abort()
    throw error
  })
  if (opened.kind === 'another_runs') {
    await file?.abort()
    return opened
  }
  const body = opened.body.pipeThrough(countBytes(onProgress))
  // If the connection breaks, `pipeTo` aborts the file, which leaves it as it was.
  if (file !== undefined) await body.pipeTo(file)
  else files.download(await new Response(body).blob(), fileName)
  return { kind: 'saved' }
}

/**
 * Whether a 429 is about another download, and not about the number of requests. Both have the same
 * body, but only in the second case no request is left.
 */
export function isAboutAnotherDownload({ status, headers }: Response): boolean {
  const remaining = /\bremaining=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]
  return status === 429 && remaining !== undefined && Number(remaining) > 0
}

async function picked(
  file: Promise<FileSystemWritableFileStream>,
): Promise<FileSystemWritableFileStream | 'canceled'> {
  try {
    return await file
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return 'canceled'
    throw error
  }
}

function countBytes(onProgress: (bytes: number) => void) {
  let bytes = 0
  return new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      bytes += chunk.byteLength
      onProgress(bytes)
      controller.enqueue(chunk)
    },
  })
}

/** The File System Access API, which TypeScript does not know. Only secure pages have it. */
interface WithPicker {
  showSaveFilePicker?: (options: {
    suggestedName: string
    types: { description: string; accept: Record<string, string[]> }[]
  }) => Promise<FileSystemFileHandle>
}

/** How long the browser may take to begin with a download, ms. */
const URL_LIFETIME_MS = 60_000

function browserFiles(): Files {
  const { showSaveFilePicker } = window as WithPicker
  const types = [{ description: 'CSV', accept: { 'text/csv': ['.csv'] } }]
  return {
    ...(showSaveFilePicker && {
      pick: async (suggestedName) => {
        const handle = await showSaveFilePicker.call(window, { suggestedName, types })
        return handle.createWritable()
      },
    }),
    download(blob, fileName) {
      const url = URL.createObjectURL(blob)
      const link = document.createElement('a')
      link.href = url
      link.download = fileName
      link.click()
      setTimeout(() => URL.revokeObjectURL(url), URL_LIFETIME_MS)
    },
  }
}
