import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

const directives = readFileSync(fromRoot('deploy/nginx/nginx.conf'), 'utf8')
  .split('\n')
  .map((line) => line.trim())

describe('the proxy', () => {
  it('speaks HTTP/1.1 to the API, where an answer that was cut does not look whole', () => {
    expect(directives).toContain('proxy_http_version 1.1;')
  })

  it('adds the address that called it to the chain, and lets trusted proxies name the client', () => {
    expect(directives).toContain('proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;')
    expect(directives).toContain('include /etc/ticket-line/trusted-proxies.conf;')
    const trusted = readFileSync(fromRoot('deploy/nginx/trusted-proxies.conf'), 'utf8')
    expect(trusted).toMatch(/^real_ip_recursive on;$/m)
    // Whoever trusts no network trusts nobody.
    expect(trusted).not.toMatch(/^set_real_ip_from/m)
  })

  it('bounds what one client can take: body, time and connections, and writes no body to /tmp', () => {
    for (const directive of [
      'client_max_body_size 64k;',
      'client_header_timeout 5s;',
      'client_body_timeout 5s;',
      'send_timeout 30s;',
      'proxy_request_buffering off;',
      'limit_conn per_address 1000;',
    ]) {
      expect(directives).toContain(directive)
    }
    expect(readFileSync(fromRoot('docker-compose.yml'), 'utf8')).not.toMatch(/tmpfs: \[\/tmp\]/)
  })

  it.each([
    ['@too_large', 413, 'payload_too_large'],
    ['@busy', 503, 'busy'],
  ])('refuses by itself as the API does: %s', (location, status, code) => {
    const start = directives.indexOf(`location ${location} {`)
    const answer = directives.slice(start).find((line) => line.startsWith('return ')) ?? ''
    const [, returned, body] = /^return (\d+) '(.*)';$/.exec(answer) ?? []
    expect(Number(returned)).toBe(status)
    const problem = JSON.parse(body ?? '')
    expect(problem).toMatchObject({ type: `urn:ticket-line:problem:${code}`, status, code })
    expect(problem.detail).toBe(problem.message)
  })

  it('uses its connections to the API once', () => {
    expect(directives).toContain('proxy_set_header Connection close;')
    expect(directives.filter((line) => /^(upstream|keepalive) /.test(line))).toEqual([])
  })
})
