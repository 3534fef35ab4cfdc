import { type Direction, type Schema, SchemaComparison, type Schemas } from './schema-breaks.ts'

/** An OpenAPI document, as far as it matters to clients. */
export interface OpenApiDocument {
  paths: Record<string, Record<string, Operation>>
  webhooks?: Record<string, Record<string, Operation>>
  components?: {
    schemas?: Schemas
    parameters?: Record<string, Parameter>
    responses?: Record<string, Body>
  }
}

interface Reference {
  $ref?: string
}
interface Operation {
  operationId: string
  tags?: string[]
  security?: Record<string, string[]>[]
  parameters?: (Parameter & Reference)[]
  requestBody?: Body
  responses: Record<string, Body & Reference>
}
interface Parameter {
  in?: string
  name?: string
  required?: boolean
  explode?: boolean
  schema?: Schema
}
interface Body {
  required?: boolean
  headers?: Record<string, object>
  content?: Record<string, { schema: Schema }>
}

/**
 * Finds what breaks clients of a released document that call a service with another document: calls
 * that fail, responses that they cannot read, and names that the code of a generated client no
 * longer has. New calls, optional parameters, members of responses and error codes break nothing.
 *
 * @returns one sentence for each break
 */
export function breaksOf(released: OpenApiDocument, current: OpenApiDocument): string[] {
  const [before, after] = [released.components?.schemas ?? {}, current.components?.schemas ?? {}]
  const schemas = new SchemaComparison(before, after)
  const documents = { released, current, schemas }
  const calls = operationsOf(released.paths).flatMap(([call, old]) => {
    const now = operationsOf(current.paths).find(([name]) => name === call)?.[1]
    return now === undefined ? [`${call} is gone`] : breaksOfCall(call, old, now, documents)
  })
  const webhooks = operationsOf(released.webhooks ?? {}).flatMap(([name, old]) => {
    const now = operationsOf(current.webhooks ?? {}).find(([other]) => other === name)?.[1]
    if (now === undefined) return [`the webhook ${name} is gone`]
    return breaksOfContent(`the webhook ${name}`, old.requestBody, now.requestBody, 'received', {
      schemas,
    })
  })
  const gone = Object.keys(before).filter((name) => !(name in after))
  return [...calls, ...webhooks, ...gone.map((name) => `the schema ${name} is gone`)]
}

interface Documents {
  released: OpenApiDocument
  current: OpenApiDocument
  schemas: SchemaComparison
}

function operationsOf(paths: OpenApiDocument['paths']): [string, Operation][] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )
}

function breaksOfCall(call: string, old: Operation, now: Operation, of: Documents): string[] {
  return [
    ...breaksOfNames(call, old, now),
    ...breaksOfSecurity(call, old, now),
    ...breaksOfParameters(call, old, now, of),
    ...breaksOfRequestBody(call, old, now, of),
    ...breaksOfResponses(call, old, now, of),
  ]
}

/** The names of methods and classes in generated clients. */
function breaksOfNames(call: string, old: Operation, now: Operation): string[] {
  const breaks: string[] = []
  if (old.operationId !== now.operationId)
    breaks.push(`${call} is called ${now.operationId} instead of ${old.operationId}`)
  if (old.tags?.[0] !== now.tags?.[0])
    breaks.push(`${call} is in the group ${now.tags?.[0]} instead of ${old.tags?.[0]}`)
  return breaks
}

/** Each way to authenticate must still be enough. */
function breaksOfSecurity(call: string, old: Operation, now: Operation): string[] {
  const ways = now.security ?? []
  const isEnough = (way: Record<string, string[]>) =>
    ways.length === 0 ||
    ways.some((other) =>
      Object.entries(other).every(
        ([scheme, scopes]) =>
          scopes.every((scope) => way[scheme]?.includes(scope)) && scheme in way,
      ),
    )
  const before = old.security?.length ? old.security : [{}]
  return before
    .filter((way) => !isEnough(way))
    .map((way) => `${call} no longer accepts ${JSON.stringify(way)}`)
}

function breaksOfParameters(
  call: string,
  old: Operation,
  now: Operation,
  { released, current, schemas }: Documents,
): string[] {
  const before = parametersOf(old, released)
  const after = parametersOf(now, current)
  const breaks: string[] = []
  for (const [name, parameter] of before) {
    const place = `${call}: the parameter ${name}`
    const other = after.get(name)
    if (other === undefined) {
      breaks.push(`${place} is gone`)
      continue
    }
    if (other.required && !parameter.required) breaks.push(`${place} is required now`)
    if (other.explode !== parameter.explode) breaks.push(`${place} is written in another way`)
    breaks.push(...schemas.breaksOf(parameter.schema ?? {}, other.schema ?? {}, 'sent', place))
  }
  for (const [name, { required }] of after)
    if (required && !before.has(name)) breaks.push(`${call}: the parameter ${name} is required now`)
  return breaks
}

function parametersOf({ parameters = [] }: Operation, document: OpenApiDocument) {
  const found = parameters.map((parameter) => {
    const name = nameIn(parameter)
    return name === undefined ? parameter : (document.components?.parameters?.[name] ?? {})
  })
  return new Map(found.map((parameter) => [`${parameter.in} ${parameter.name}`, parameter]))
}

function breaksOfRequestBody(
  call: string,
  { requestBody: old }: Operation,
  { requestBody: now }: Operation,
  of: Documents,
): string[] {
  const place = `${call}: the body`
  if (now?.required && !old?.required) return [`${place} is required now`]
  return old === undefined ? [] : breaksOfContent(place, old, now, 'sent', of)
}

function breaksOfResponses(call: string, old: Operation, now: Operation, of: Documents): string[] {
  return Object.entries(old.responses).flatMap(([status, response]) => {
    const place = `${call}: the response ${status}`
    const other = now.responses[status]
    // Errors may come and go: clients read their code.
    if (other === undefined) return Number(status) < 400 ? [`${place} is gone`] : []
    const [before, after] = [bodyIn(response, of.released), bodyIn(other, of.current)]
    const headers = Object.keys(before.headers ?? {}).filter(
      (name) => after.headers?.[name] === undefined,
    )
    return [
      ...headers.map((name) => `${place} has no ${name}`),
      ...breaksOfContent(place, before, after, 'received', of),
    ]
  })
}

function breaksOfContent(
  place: string,
  old: Body | undefined,
  now: Body | undefined,
  direction: Direction,
  { schemas }: Pick<Documents, 'schemas'>,
): string[] {
  return Object.entries(old?.content ?? {}).flatMap(([mediaType, { schema }]) => {
    const other = now?.content?.[mediaType]
    if (other === undefined) return [`${place} is no ${mediaType}`]
    return schemas.breaksOf(schema, other.schema, direction, place)
  })
}

function bodyIn(response: Body & Reference, document: OpenApiDocument): Body {
  const name = nameIn(response)
  return name === undefined ? response : (document.components?.responses?.[name] ?? {})
}

function nameIn({ $ref }: Reference): string | undefined {
  return $ref?.split('/').at(-1)
}
