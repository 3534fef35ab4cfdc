import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import type { Reply } from './client.ts'

interface Response {
  $ref?: string
  headers?: Record<string, object>
  content?: Record<string, { schema: object }>
}
interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Response> }>>
  components: {
    schemas: Record<string, object>
    responses: Record<string, Response>
    headers: Record<string, object>
  }
}

/** Headers that also come with responses for which the document does not name them. */
const UNNAMED_HEADERS = new Set(['Cache-Control', 'Set-Cookie'])

/** Compares responses with `docs/openapi.json`. */
export function createDocumentCheck() {
  const text = readFileSync(fromRoot('docs/openapi.json'), 'utf8')
  const { paths, components } = JSON.parse(
    text.replaceAll('#/components/schemas/', '#/$defs/'),
    forbidMore,
  ) as Document
  const calls = Object.entries(paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([method, { responses }]) => ({
      name: `${method.toUpperCase()} ${template}`,
      method: method.toUpperCase(),
      path: new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
      responses,
    })),
  )
  const schemas = new Map<object, z.ZodType>()

  function check(schema: object, body: unknown): string[] {
    const known = schemas.get(schema)
    const zod = known ?? z.fromJSONSchema({ ...schema, $defs: components.schemas } as never)
    schemas.set(schema, zod)
    const { error } = zod.safeParse(body)
    return (error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  }

  /** @returns what the document does not say of a response; nothing for calls that it leaves out */
  return function undocumented(method: string, pathAndQuery: string, reply: Reply): string[] {
    const [path = ''] = pathAndQuery.split('?')
    const call = calls.find((one) => one.method === method && one.path.test(path))
    if (call === undefined) return []
    const place = `${call.name} ${reply.status}`
    const named = call.responses[String(reply.status)]
    if (named === undefined) return [`${place} is not documented`]
    const shared = named.$ref?.split('/').at(-1)
    const response = shared === undefined ? named : (components.responses[shared] ?? {})
    const documented = response.headers ?? {}
    const headers = Object.keys(components.headers).filter(
      (name) => reply.headers.has(name) && !(name in documented) && !UNNAMED_HEADERS.has(name),
    )
    const findings = headers.map((name) => `${place} has the header ${name}`)
    // Without Redis there is no limit to show.
    const always = reply.status === 503 ? [] : ['RateLimit', 'RateLimit-Policy']
    for (const name of ['X-Request-Id', ...always])
      if (!reply.headers.has(name)) findings.push(`${place} has no ${name}`)
    const [mediaType = ''] = (reply.headers.get('content-type') ?? '').split(';')
    if (mediaType === '') return findings
    const content = response.content?.[mediaType]
    if (content === undefined) return [...findings, `${place} is ${mediaType}`]
    if (!/^application\/(problem\+)?json$/.test(mediaType)) return findings
    return [...findings, ...check(content.schema, reply.body).map((issue) => `${place}: ${issue}`)]
  }
}

/** Makes members that a schema does not name an error, so that a new one is noticed. */
function forbidMore(_: string, part: unknown): unknown {
  const isClosed =
    typeof part === 'object' &&
    part !== null &&
    'properties' in part &&
    'type' in part &&
    !('additionalProperties' in part)
  return isClosed ? { ...part, additionalProperties: false } : part
}
