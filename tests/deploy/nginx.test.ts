import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../scripts/lib/paths.mjs'

const directives = readFileSync(fromRoot('deploy/nginx/nginx.conf'), 'utf8')
  .split('\n')
  .map((line) => line.trim())

describe('the proxy', () => {
  it('speaks HTTP/1.1 to the API, where an answer that was cut does not look whole', () => {
    expect(directives).toContain('proxy_http_version 1.1;')
  })

  it('uses its connections to the API once', () => {
    expect(directives).toContain('proxy_set_header Connection close;')
    expect(directives.filter((line) => /^(upstream|keepalive) /.test(line))).toEqual([])
  })
})
