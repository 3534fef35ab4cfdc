import { VERSION } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { appUnderTest, call } from '../testing/app-under-test.js'
import { readBuiltFiles } from './built-files.js'

const app = appUnderTest()
const browser = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

describe('GET /', () => {
  it('sends the home page to browsers', async () => {
    const answer = await call(app, 'GET /', { headers: browser })
    expect(answer).toMatchObject({ status: 200, text: 'home' })
    expect(answer.headers.get('vary')).toBe('Accept, Accept-Encoding')
  })

  it('returns all paths to other clients', async () => {
    const answer = await call(app, 'GET /?from=somewhere')
    expect(answer.status).toBe(200)
    expect(answer.json).toEqual({
      name: 'ticket-line',
      version: VERSION,
      docs: '/docs',
      openapi: '/openapi.json',
      dashboard: '/admin/queues',
    })
    expect(answer.headers.get('vary')).toBe('Accept')
  })
})

describe('a page', () => {
  it.each([
    ['/e/1', 'event'],
    ['/e/9007199254740991?utm_source=mail', 'event'],
    ['/box-office', 'box-office'],
  ])('is served at %s', async (path, text) => {
    expect(await call(app, `GET ${path}`)).toMatchObject({ status: 200, text })
  })

  it.each(['abc', '0', '-1', '01', '1.5', '9007199254740992'])(
    'is 404 with the same page for the event %s',
    async (eventId) => {
      expect(await call(app, `GET /e/${eventId}`)).toMatchObject({ status: 404, text: 'event' })
    },
  )

  it('allows only its own files and calls of this API', async () => {
    const { headers } = await call(app, 'GET /e/1')
    const policy = headers.get('content-security-policy')?.split('; ') ?? []
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("style-src 'self'")
    expect(policy).toContain("connect-src 'self'")
    expect(policy).toContain("require-trusted-types-for 'script'")
    expect(policy.join()).not.toContain('unsafe')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  })

  it('is checked again on each visit, and sent again only if it has changed', async () => {
    const { headers } = await call(app, 'GET /box-office')
    expect(headers.get('cache-control')).toBe('no-cache')
    const known = { 'if-none-match': headers.get('etag') ?? '' }
    const again = await call(app, 'GET /box-office', { headers: known })
    expect(again).toMatchObject({ status: 304, text: '' })
    expect(again.headers.get('etag')).toBe(headers.get('etag'))
    const other = await call(app, 'GET /e/1', { headers: known })
    expect(other.status).toBe(200)
  })

  it('is sent with the best compression that the client can decode', async () => {
    const encodings = [
      ['gzip, deflate, br, zstd', 'br'],
      ['gzip, deflate', 'gzip'],
      ['identity', null],
    ] as const
    const etags = new Set<string | null>()
    for (const [accepted, encoding] of encodings) {
      const answer = await call(app, 'GET /e/1', { headers: { 'accept-encoding': accepted } })
      expect(answer.headers.get('content-encoding')).toBe(encoding)
      expect(answer.text).toBe(encoding === null ? 'event' : `${encoding} of event`)
      expect(answer.headers.get('vary')).toBe('Accept-Encoding')
      etags.add(answer.headers.get('etag'))
    }
    expect(etags.size).toBe(3)
  })

  it('is refused with 429 over the limit for pages', async () => {
    const over = { headers: { 'x-over-limit': 'yes' } }
    for (const path of ['/', '/e/1', '/box-office', '/assets/style-1.css'])
      expect((await call(app, `GET ${path}`, over)).status).toBe(429)
  })
})

describe('an asset', () => {
  it('may be cached forever, because its name changes with its content', async () => {
    const { status, text, headers } = await call(app, 'GET /assets/style-1.css')
    expect({ status, text }).toEqual({ status: 200, text: 'style' })
    expect(headers.get('content-type')).toBe('text/css; charset=utf-8')
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
  })

  it('is 404 if there is no such file', async () => {
    for (const name of ['style-2.css', '..%2fhome.html', '__proto__', 'style-1.css.br'])
      expect(await call(app, `GET /assets/${name}`)).toMatchObject({
        status: 404,
        json: { code: 'not_found' },
      })
  })
})

describe('the built files', () => {
  it('contain every file that a page names', async () => {
    const { pages, assets } = await readBuiltFiles()
    for (const { bytes, mediaType } of Object.values(pages)) {
      const html = new TextDecoder().decode(bytes)
      expect(mediaType).toBe('text/html; charset=utf-8')
      const named = [...html.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)].map(([, name]) => name)
      expect(named.length).toBeGreaterThan(2)
      for (const name of named) expect(assets.has(name ?? '')).toBe(true)
      // The policy would block them.
      expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/)
    }
  })
})
