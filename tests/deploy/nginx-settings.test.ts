import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { outputOf } from '../stack/output.ts'
import { hasNginx, startEcho, startNginx, startScript, writeConfiguration } from './nginx-kit.ts'

describe.skipIf(!hasNginx)('nginx with the settings of Compose', () => {
  const forwarded = {
    'x-forwarded-for': '198.51.100.1, 203.0.113.9, 10.1.2.3',
    'x-forwarded-proto': 'https',
  }

  it('takes the address and the scheme of a client from the proxies in TRUSTED_PROXIES', async () => {
    const settings = { TRUSTED_PROXIES: '10.0.0.0/8, 127.0.0.1,2001:db8::/32' }
    const { url } = await startNginx(await startEcho(), 'http', settings)
    const seen = (await (await fetch(url, { headers: forwarded })).json()) as Record<string, string>
    expect(seen['x-forwarded-for']?.split(', ').at(-1)).toBe('203.0.113.9')
    expect(seen['x-forwarded-proto']).toBe('https')
  })

  it('trusts no proxy by default', async () => {
    const { url } = await startNginx(await startEcho(), 'http')
    const seen = (await (await fetch(url, { headers: forwarded })).json()) as Record<string, string>
    expect(seen['x-forwarded-for']?.split(', ').at(-1)).toBe('127.0.0.1')
    expect(seen['x-forwarded-proto']).toBe('http')
  })

  it('lets pages of CORS_ORIGINS, and of no other origin, read what it refuses', async () => {
    const settings = { CORS_ORIGINS: 'https://shop.example, http://localhost:5173' }
    const { url } = await startNginx(await startEcho(), 'http', settings)
    const readers = await Promise.all(
      ['https://shop.example', 'http://localhost:5173', 'https://other.example'].map(
        async (origin) => {
          const headers = { origin }
          const refused = await fetch(url, { method: 'POST', body: 'x'.repeat(100_000), headers })
          expect(refused.status).toBe(413)
          return refused.headers.get('access-control-allow-origin')
        },
      ),
    )
    expect(readers).toEqual(['https://shop.example', 'http://localhost:5173', null])
  })

  it.each<[what: string, server: 'http' | 'https', Record<string, string>, named: string]>([
    ['an invalid network', 'http', { TRUSTED_PROXIES: '10.0.0.0/8, lb; }' }, 'TRUSTED_PROXIES'],
    ['an invalid origin', 'http', { CORS_ORIGINS: 'https://a.example";' }, 'CORS_ORIGINS'],
    ['an invalid port', 'http', { HTTPS_PORT: '443;' }, 'HTTPS_PORT'],
    ['TLS without the setting that redirects plain HTTP', 'https', {}, 'COMPOSE_PROFILES'],
    [
      'TLS without a certificate',
      'https',
      { COMPOSE_PROFILES: 'tls', CERTIFICATES: '/nowhere' },
      'TLS_FOLDER',
    ],
  ])('stops with one line if it is given %s', async (_what, server, settings, named) => {
    const { folder } = await writeConfiguration('http://127.0.0.1:1')
    const nginx = startScript(folder, server, settings)
    const text = outputOf(nginx)
    const [code] = await once(nginx, 'close')
    expect(code).toBe(1)
    expect(text()).toContain(named)
    expect(text().trimEnd().split('\n')).toHaveLength(1)
  })
})
