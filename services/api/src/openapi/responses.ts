import { type ErrorCode, OUTCOMES, PROBLEMS } from '@ticket-line/shared'
import { z } from 'zod'
import type { ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi'
import { DECIDED_HEADERS } from '../booking/responses.js'
import { problemSchema } from '../http/problem.js'
import type { ResponseSpec, Route, RouteDocs } from '../http/route.js'
import { tooManyRequestsSchema } from '../limits/reply.js'
import { RESPONSE_HEADERS, type ResponseHeader } from './headers.js'
import { problemExample } from './problem-examples.js'

/**
 * The parts that several calls of a document share. They are added when a call first needs them.
 */
export interface SharedResponses {
  headers: Map<string, (typeof RESPONSE_HEADERS)[ResponseHeader]>
  responses: Map<string, ZodOpenApiResponseObject>
  examples: Map<string, { summary: string; value: object }>
}

/** The headers of all responses of a call. All documented calls are rate limited. */
const EVERYWHERE: readonly ResponseHeader[] = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy']

const HEADERS_OF_PROBLEMS: Partial<Record<ErrorCode, readonly ResponseHeader[]>> = {
  unauthorized: ['WWW-Authenticate'],
  invalid_credentials: ['WWW-Authenticate'],
  insufficient_scope: ['WWW-Authenticate'],
  event_exists: ['Idempotency-Replayed'],
  sales_not_open: ['Retry-After'],
  busy: ['Retry-After'],
  unavailable: ['Retry-After'],
  unknown: ['Retry-After', 'Location'],
}

/**
 * Responses with more codes than this are shown in place, because their names would be too long.
 */
const MAX_CODES_IN_NAME = 3

/** All responses of a call. */
export function responsesOf(
  route: Route,
  docs: RouteDocs,
  shared: SharedResponses,
): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {}
  for (const [status, response] of Object.entries(route.responses ?? {})) {
    responses[status as '200'] = successOf(response, shared)
  }
  const isCommand = route.responses?.[202]?.headers?.includes('Location') === true
  for (const [status, codes] of problemsByStatus(route, docs)) {
    responses[status as '400'] ??= refusalOf(codes, isCommand, shared)
  }
  responses['429'] = share('TooManyRequests', shared, () => ({
    description: 'The client is over the rate limit. `Retry-After` says when the window ends.',
    headers: headersOf(['Retry-After'], shared),
    content: {
      'application/json': {
        schema: tooManyRequestsSchema,
        example: z.globalRegistry.get(tooManyRequestsSchema)?.example,
      },
    },
  }))
  return responses
}

function successOf(
  { description, schema, examples, otherMediaTypes, headers = [] }: ResponseSpec,
  shared: SharedResponses,
): ZodOpenApiResponseObject {
  const content: ZodOpenApiResponseObject['content'] = {}
  if (schema !== undefined) {
    const named = Object.entries(examples ?? {}).map(([name, value]) => [name, { value }])
    content['application/json'] = {
      schema,
      ...(examples === undefined
        ? { example: z.globalRegistry.get(schema)?.example }
        : { examples: Object.fromEntries(named) }),
    }
  }
  for (const [mediaType, example] of Object.entries(otherMediaTypes ?? {})) {
    content[mediaType] = { schema: z.string(), example }
  }
  return {
    description,
    headers: headersOf(headers, shared),
    ...(Object.keys(content).length > 0 && { content }),
  }
}

/** The response with one of these codes, all of which have one status. */
function refusalOf(
  codes: readonly ErrorCode[],
  isCommand: boolean,
  shared: SharedResponses,
): ZodOpenApiResponseObject | { $ref: string } {
  const isDecided = isCommand && codes.some((code) => code in OUTCOMES)
  const create = (): ZodOpenApiResponseObject => ({
    description: codes.map((code) => `\`${code}\``).join(', '),
    headers: headersOf(
      [
        ...(isDecided ? DECIDED_HEADERS : []),
        ...codes.flatMap((code) => HEADERS_OF_PROBLEMS[code] ?? []),
      ],
      shared,
    ),
    content: {
      'application/problem+json': {
        schema: problemSchema,
        examples: Object.fromEntries(codes.map((code) => [code, exampleOf(code, shared)])),
      },
    },
  })
  if (codes.length > MAX_CODES_IN_NAME) return create()
  const name = codes.map(pascalCaseOf).join('Or')
  return share(isDecided ? `Command${name}` : name, shared, create)
}

function share(
  name: string,
  { responses }: SharedResponses,
  create: () => ZodOpenApiResponseObject,
): { $ref: string } {
  if (!responses.has(name)) responses.set(name, create())
  return { $ref: `#/components/responses/${name}` }
}

function headersOf(
  names: readonly ResponseHeader[],
  shared: SharedResponses,
): Record<string, { $ref: string }> {
  const all = [...new Set([...names, ...EVERYWHERE])]
  for (const name of all) shared.headers.set(name, RESPONSE_HEADERS[name])
  return Object.fromEntries(all.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

function exampleOf(code: ErrorCode, { examples }: SharedResponses): { $ref: string } {
  examples.set(code, { summary: code, value: problemExample(code) })
  return { $ref: `#/components/examples/${code}` }
}

function pascalCaseOf(code: ErrorCode): string {
  return code.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** The problems of a route, including those of its guards. */
function problemsByStatus(route: Route, docs: RouteDocs): Map<string, ErrorCode[]> {
  const codes = new Set<ErrorCode>(docs.problems)
  if (route.auth === 'required' || route.auth === 'ifSent') codes.add('unauthorized')
  if (route.auth === 'required') codes.add('insufficient_scope')
  if (route.role !== undefined) codes.add('forbidden')
  const hasBody = route.body !== undefined || docs.optionalBody !== undefined
  if (hasBody) codes.add('payload_too_large').add('unsupported_media_type')
  if (hasBody || !route.ignoresQuery) codes.add('invalid_request')
  codes.add('busy').add('internal')
  const inOrder = (Object.keys(PROBLEMS) as ErrorCode[]).filter((code) => codes.has(code))
  return Map.groupBy(inOrder, (code) => String(PROBLEMS[code].status))
}
