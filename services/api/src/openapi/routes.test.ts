import { Hono } from 'hono'
import { describe, expect, it, vi } from 'vitest'
import type { AppEnv } from '../http/env.js'
import { mountRoutes } from '../http/route.js'
import { appUnderTest, call, guards } from '../testing/app-under-test.js'
import { docsRoutes } from './routes.js'

describe('GET /docs', () => {
  const app = appUnderTest()

  it('serves the page and all its files', async () => {
    const page = await call(app, 'GET /docs')
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1])
    expect(parts.filter((part) => part?.startsWith('docs/'))).toHaveLength(5)
    for (const part of parts.filter((part) => !part?.startsWith('#')))
      expect((await call(app, `GET /${part}`)).status).toBe(200)
    expect(page.text.replace('http://localhost:3000', '')).not.toMatch(/https?:/)
  })

  it('allows the page to run only its own scripts', async () => {
    const policy = (await call(app, 'GET /docs')).headers.get('content-security-policy')
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("default-src 'none'")
  })

  it('reads a file once, and reads it again only if that failed', async () => {
    const readAsset = vi.fn(async (name: string) => new TextEncoder().encode(name))
    readAsset.mockRejectedValueOnce(
      Object.assign(new Error('too many open files'), { code: 'EMFILE' }),
    )
    const own = new Hono<AppEnv>().onError((_error, c) => c.body(null, 500))
    mountRoutes(own, docsRoutes([], readAsset), guards)
    const part = () => call(own, 'GET /docs/swagger-ui.css')
    expect((await part()).status).toBe(500)
    expect(await part()).toMatchObject({ status: 200, text: 'swagger-ui.css' })
    expect(await part()).toMatchObject({ status: 200, text: 'swagger-ui.css' })
    expect(readAsset).toHaveBeenCalledTimes(2)
  })
})

describe('GET /openapi.json', () => {
  it('describes every call with its problems', async () => {
    const { json, status } = await call(appUnderTest(), 'GET /openapi.json')
    expect(status).toBe(200)
    expect(json.openapi).toBe('3.1.0')
    expect(Object.keys(json.paths)).toEqual(
      expect.arrayContaining([
        '/book',
        '/cancel',
        '/initialize',
        '/status/{eventId}',
        '/jobs/{jobId}',
        '/events',
      ]),
    )
    expect(Object.keys(json.paths['/book'].post.responses)).toEqual(
      expect.arrayContaining([
        '200',
        '202',
        '400',
        '401',
        '403',
        '404',
        '409',
        '413',
        '415',
        '422',
        '429',
        '503',
      ]),
    )
  })
})
