import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

const directives = ['nginx.conf', 'site.conf']
  .flatMap((name) => readFileSync(fromRoot('deploy/nginx', name), 'utf8').split('\n'))
  .map((line) => line.trim())

describe('the configuration in deploy/nginx', () => {
  it('talks HTTP/1.1 to the API, so that an interrupted response does not look complete', () => {
    expect(directives).toContain('proxy_http_version 1.1;')
  })

  it('appends the client to X-Forwarded-For', () => {
    expect(directives).toContain('proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;')
  })

  it('limits body, time and connections of one client and writes no body to /tmp', () => {
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
  ])('refuses requests in the same format as the API in %s', (location, status, code) => {
    const start = directives.indexOf(`location ${location} {`)
    const answer = directives.slice(start).find((line) => line.startsWith('return ')) ?? ''
    const [, returned, body] = /^return (\d+) '(.*)';$/.exec(answer) ?? []
    expect(Number(returned)).toBe(status)
    const problem = JSON.parse(body ?? '')
    expect(problem).toMatchObject({ type: `urn:ticket-line:problem:${code}`, status, code })
    expect(problem.detail).toBe(problem.message)
  })

  it('lets the API turn off buffering for streams, and keeps idle streams open', () => {
    expect(directives.filter((line) => /^(proxy_ignore_headers|gzip) /.test(line))).toEqual([])
    // A stream has a comment every 15 s.
    expect(directives).toContain('proxy_read_timeout 60s;')
    expect(directives).toContain('worker_connections 16384;')
  })

  it('uses each connection to the API for one request', () => {
    expect(directives).toContain('proxy_set_header Connection close;')
    expect(directives.filter((line) => /^(upstream|keepalive) /.test(line))).toEqual([])
  })
})
