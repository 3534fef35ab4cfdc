/** The OpenAPI document of the repository, as far as it says what a typed client can send. */
import { readFileSync } from 'node:fs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document has many shapes
type Json = any

export interface Operation {
  /** The `operationId`. */
  id: string
  /** The template, for example `/events/{eventId}/me`. */
  path: string
  takesHeader(name: string): boolean
  /** Whether the types of the document allow this body. */
  takesBody(body: unknown, mediaType: string | undefined): boolean
}

export interface FoundOperation {
  operation: Operation
  params: { path: Record<string, unknown>; query: Record<string, unknown> }
}

/** Headers that HTTP clients send with any call. */
const COMMON_HEADERS = ['accept', 'content-type']

const document: Json = JSON.parse(readFileSync(fromRoot('docs/openapi.json'), 'utf8'))

function resolve(node: Json): Json {
  if (node?.$ref === undefined) return node
  const [, ...names] = node.$ref.split('/')
  return resolve(names.reduce((parent: Json, name: string) => parent[name], document))
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Json).map(([method, json]) => ({
    method: method.toUpperCase(),
    pattern: new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`),
    // A template matches `/events/mine`, too, so literal paths come first.
    parameters: path.split('{').length - 1,
    json: json as Json,
    operation: operationOf(path, json as Json),
  })),
)
operations.sort((a, b) => a.parameters - b.parameters)

/** Finds the call of a request. @returns undefined if the types do not allow its path or query */
export function findOperation(method: string, pathAndQuery: string): FoundOperation | undefined {
  const [pathname = '', search = ''] = pathAndQuery.split('?')
  const found = operations.find((one) => one.method === method && one.pattern.test(pathname))
  if (found === undefined) return undefined
  const inPath = found.pattern.exec(pathname)?.groups ?? {}
  const query = [...new URLSearchParams(search)]
  if (new Set(query.map(([name]) => name)).size < query.length) return undefined
  try {
    const path = Object.entries(inPath).map(([name, text]) => [name, decodeURIComponent(text)])
    return {
      operation: found.operation,
      params: {
        path: valuesOf(found.json, 'path', path as [string, string][]),
        query: valuesOf(found.json, 'query', query),
      },
    }
  } catch {
    return undefined
  }
}

function operationOf(path: string, json: Json): Operation {
  const headers = (json.parameters ?? [])
    .map(resolve)
    .filter((parameter: Json) => parameter.in === 'header')
    .map((parameter: Json) => parameter.name.toLowerCase())
  return {
    id: json.operationId,
    path,
    takesHeader: (name) => COMMON_HEADERS.includes(name) || headers.includes(name),
    takesBody(body, mediaType = 'application/json') {
      const wanted = resolve(json.requestBody)
      if (wanted === undefined) return body === undefined
      if (body === undefined) return wanted.required !== true
      return fits(wanted.content[mediaType]?.schema ?? false, body)
    },
  }
}

/** The parameters as a typed client passes them. @throws Error if the types do not allow them */
function valuesOf(operation: Json, place: string, given: [string, string][]) {
  const parameters: Json[] = (operation.parameters ?? []).map(resolve)
  return Object.fromEntries(
    given.map(([name, text]) => {
      const found = parameters.find((one) => one.in === place && one.name === name)
      const schema = resolve(found?.schema)
      const value = parsed(schema, text)
      if (schema === undefined || !fits(schema, value)) throw new Error(`${name} is not ${text}`)
      return [name, value]
    }),
  )
}

function parsed(schema: Json, text: string): unknown {
  if (schema?.type === 'array') return text.split(',')
  if (schema?.type === 'integer' && /^-?\d+$/.test(text) && String(Number(text)) === text)
    return Number(text)
  if (schema?.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

/**
 * Whether TypeScript would allow a literal for a schema. Types know members and the kinds of
 * values, but neither ranges nor patterns.
 */
export function fits(unresolved: Json, value: unknown): boolean {
  const schema = resolve(unresolved)
  if (typeof schema === 'boolean') return schema
  const either: Json[] | undefined = schema.anyOf ?? schema.oneOf
  if (either !== undefined) return either.some((one) => fits(one, value))
  if (schema.allOf !== undefined) return schema.allOf.every((one: Json) => fits(one, value))
  if (schema.const !== undefined) return schema.const === value
  if (schema.enum !== undefined) return schema.enum.includes(value)
  const types: string[] = [schema.type ?? []].flat()
  return types.length === 0 || types.some((type) => isOf(type, schema, value))
}

function isOf(type: string, schema: Json, value: unknown): boolean {
  if (type === 'null') return value === null
  if (type === 'integer' || type === 'number') return typeof value === 'number'
  if (type === 'array')
    return Array.isArray(value) && value.every((item) => fits(schema.items ?? true, item))
  if (type !== 'object') return typeof value === type
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const { properties, required = [], additionalProperties } = schema
  return (
    required.every((name: string) => members.some(([given]) => given === name)) &&
    members.every(([name, member]) =>
      fits(properties?.[name] ?? additionalProperties ?? !properties, member),
    )
  )
}
