import { describe, expect, test } from 'vitest'
import { type Download, type Files, isAboutAnotherDownload, saveCsv } from './save-csv.js'

const ROWS = ['userId,position,since\r\n', 'ada,1,2030-01-31T18:00:00.000Z\r\n']
const BYTES = ROWS.join('').length

/** @param error ends the body after the rows */
function bodyOf(rows: string[], error?: Error): ReadableStream<Uint8Array<ArrayBuffer>> {
  const rest = [...rows]
  return new ReadableStream({
    pull(controller) {
      const row = rest.shift()
      if (row !== undefined) controller.enqueue(new TextEncoder().encode(row))
      else if (error !== undefined) controller.error(error)
      else controller.close()
    },
  })
}

function download(parts: Partial<Download> = {}): Download & { progress: number[] } {
  const progress: number[] = []
  return {
    fileName: 'event-1001-waiting-list.csv',
    isLong: false,
    open: async () => ({ kind: 'opened', body: bodyOf(ROWS) }),
    onProgress: (bytes) => progress.push(bytes),
    progress,
    ...parts,
  }
}

/** A browser that can write files, as the File System Access API does it. */
function browser() {
  const downloads: { blob: Blob; fileName: string }[] = []
  const file = { text: '', state: 'unopened' as 'unopened' | 'open' | 'closed' | 'aborted' }
  const files: Required<Files> = {
    async pick() {
      file.state = 'open'
      const decoder = new TextDecoder()
      return new WritableStream<Uint8Array>({
        write: (chunk) => {
          file.text += decoder.decode(chunk, { stream: true })
        },
        close: () => {
          file.state = 'closed'
        },
        abort: () => {
          file.state = 'aborted'
        },
      }) as FileSystemWritableFileStream
    },
    download: (blob, fileName) => downloads.push({ blob, fileName }),
  }
  return { files, file, downloads }
}

describe('a download', () => {
  test('of a short list becomes a file in the folder for downloads', async () => {
    const { files, file, downloads } = browser()
    const asked = download()
    expect(await saveCsv(asked, files)).toEqual({ kind: 'saved' })
    expect(file.state).toBe('unopened')
    expect(downloads).toHaveLength(1)
    expect(downloads[0]?.fileName).toBe('event-1001-waiting-list.csv')
    expect(await downloads[0]?.blob.text()).toBe(ROWS.join(''))
    expect(asked.progress.at(-1)).toBe(BYTES)
  })

  test('of a long list goes into the file that the person chose', async () => {
    const { files, file, downloads } = browser()
    const asked = download({ isLong: true })
    expect(await saveCsv(asked, files)).toEqual({ kind: 'saved' })
    expect(file).toEqual({ text: ROWS.join(''), state: 'closed' })
    expect(downloads).toEqual([])
    expect(asked.progress.at(-1)).toBe(BYTES)
  })

  test('of a long list works in a browser that cannot write files', async () => {
    const { files, downloads } = browser()
    const { download: only } = files
    expect(await saveCsv(download({ isLong: true }), { download: only })).toEqual({ kind: 'saved' })
    expect(await downloads[0]?.blob.text()).toBe(ROWS.join(''))
  })

  test('does not begin if the person chooses no file', async () => {
    const { files } = browser()
    const pick = async (): Promise<never> => {
      throw new DOMException('The user aborted a request.', 'AbortError')
    }
    const open = async (): Promise<never> => expect.unreachable()
    const asked = download({ isLong: true, open })
    expect(await saveCsv(asked, { ...files, pick })).toEqual({ kind: 'canceled' })
  })

  test.each([false, true])('says that another one runs (long list: %s)', async (isLong) => {
    const { files, file, downloads } = browser()
    const asked = download({ isLong, open: async () => ({ kind: 'another_runs' }) })
    expect(await saveCsv(asked, files)).toEqual({ kind: 'another_runs' })
    expect(file.state).toBe(isLong ? 'aborted' : 'unopened')
    expect(downloads).toEqual([])
  })

  test.each([false, true])('fails if its connection breaks (long list: %s)', async (isLong) => {
    const { files, file, downloads } = browser()
    const broken = new TypeError('network error')
    const open: Download['open'] = async () => ({ kind: 'opened', body: bodyOf(ROWS, broken) })
    await expect(saveCsv(download({ isLong, open }), files)).rejects.toThrow('network error')
    expect(file.state).toBe(isLong ? 'aborted' : 'unopened')
    expect(downloads).toEqual([])
  })

  test('leaves the chosen file as it was if the API refuses', async () => {
    const { files, file } = browser()
    const open = async (): Promise<never> => {
      throw new Error('refused')
    }
    await expect(saveCsv(download({ isLong: true, open }), files)).rejects.toThrow('refused')
    expect(file).toEqual({ text: '', state: 'aborted' })
  })
})

describe('a 429', () => {
  const answer = (status: number, remaining?: number): Response =>
    new Response(null, {
      status,
      ...(remaining !== undefined && {
        headers: { ratelimit: `limit=100, remaining=${remaining}, reset=840` },
      }),
    })

  test('is about another download if requests are left', () => {
    expect(isAboutAnotherDownload(answer(429, 42))).toBe(true)
  })

  test('is about the number of requests if none is left', () => {
    expect(isAboutAnotherDownload(answer(429, 0))).toBe(false)
    expect(isAboutAnotherDownload(answer(429))).toBe(false)
    expect(isAboutAnotherDownload(answer(503, 42))).toBe(false)
  })
})
