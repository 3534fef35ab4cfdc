import type { CreateDocumentOptions } from 'zod-openapi'

type Json = Record<string, unknown>

/**
 * Simplifies a schema that zod created, for code generators. Schemas of responses have no
 * `additionalProperties: false`, because later releases may add members. Schemas of objects have no
 * example, because the request or the response shows it.
 */
export const simplifySchema: NonNullable<CreateDocumentOptions['override']> = ({
  jsonSchema,
  io,
}) => {
  if (jsonSchema.type === 'integer') {
    // The bounds that zod gives every integer.
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER && io === 'output') delete jsonSchema.maximum
  }
  // zod's pattern for a time has 300 characters.
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
  if (jsonSchema.type === 'object') {
    if (io === 'output' && jsonSchema.additionalProperties === false)
      delete jsonSchema.additionalProperties
    delete jsonSchema['example']
  }
}

/** Keys whose values are data instead of parts of the document. */
const DATA = new Set(['example', 'examples', 'default', 'enum', 'const', 'mapping'])

/** Writes the parts of a document in the form that most generators understand. */
export function tidy<T>(part: T): T {
  if (Array.isArray(part)) return part.map(tidy) as T
  if (typeof part !== 'object' || part === null) return part
  const entries = Object.entries(part).map(([key, value]) => [
    key,
    DATA.has(key) ? value : tidy(value),
  ])
  const tidied = Object.fromEntries(entries) as Json
  return (isParameter(tidied) ? tidyParameter(tidied) : joinNull(withoutDefaults(tidied))) as T
}

/**
 * Removes defaults, because openapi-typescript requires members that have one, even in requests.
 */
function withoutDefaults(schema: Json): Json {
  if (schema['type'] !== 'object' || schema['properties'] === undefined) return schema
  const members = Object.entries(schema['properties'] as Record<string, Json>)
  const shown = members.map(([name, { default: _, ...member }]) => [name, member])
  return { ...schema, properties: Object.fromEntries(shown) }
}

function isParameter(part: Json): boolean {
  return typeof part['in'] === 'string' && typeof part['name'] === 'string' && 'schema' in part
}

/** Moves the texts of a parameter out of its schema. Arrays are separated by commas. */
function tidyParameter({ schema, ...parameter }: Json): Json {
  const { description: _, example, ...rest } = schema as Json
  return {
    ...parameter,
    ...(example !== undefined && { example }),
    ...(rest['type'] === 'array' && { style: 'form', explode: false }),
    schema: rest,
  }
}

/** Writes `anyOf: [{ type: 'string' }, { type: 'null' }]` as `type: ['string', 'null']`. */
function joinNull(schema: Json): Json {
  const { anyOf, ...outer } = schema
  if (!Array.isArray(anyOf)) return schema
  const [inner, other, ...more] = anyOf as Json[]
  if (inner === undefined || other?.['type'] !== 'null' || more.length > 0) return schema
  if (Array.isArray(inner['anyOf'])) return { ...outer, anyOf: [...inner['anyOf'], other] }
  if (typeof inner['type'] !== 'string') return schema
  return {
    ...inner,
    ...outer,
    type: [inner['type'], 'null'],
    ...(Array.isArray(inner['enum']) && { enum: [...inner['enum'], null] }),
  }
}
