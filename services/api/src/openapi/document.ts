import { type ErrorCode, PROBLEMS, VERSION } from '@ticket-line/shared'
import { z } from 'zod'
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi'
import { MERGE_PATCH } from '../http/body.js'
import { problemSchema } from '../http/problem.js'
import type { ResponseSpec, Route, RouteDocs, Tag } from '../http/route.js'
import { tooManyRequestsSchema } from '../limits/reply.js'
import { problemExamples } from './problem-examples.js'

const TAGS: Record<Tag, string> = {
  Booking:
    'Book a ticket, confirm or cancel it, and see what a user has. Commands of one event are decided in the order in which they arrive.',
  Events: 'Create events, change and cancel them, and see how many tickets are left.',
  Lists: 'What staff of an event read: its bookings, its waiting list, and every change.',
  'Live updates': 'Server-sent events, so that a page shows the current state without polling.',
  Webhooks: 'Have the changes of events sent to an endpoint of yours.',
  'API keys': 'Keys with which the backend of a shop calls this API.',
  Accounts: 'Accounts, sign-in and tokens.',
  Service: 'What this installation is.',
}

/**
 * Creates the OpenAPI 3.1 document of these routes from their own schemas. The same routes in the
 * same order give the same bytes.
 */
export function createOpenApiDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    if (route.docs === undefined) continue
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, route.docs) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Ticket Line',
      version: VERSION,
      description:
        'A ticket booking service built for on-sale rushes. All requests for one event go through one line: first come, first served.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  })
}

function operationOf(route: Route, docs: RouteDocs): ZodOpenApiOperationObject {
  const { body, bodyForm, params, query } = route
  const header = headerSchema(docs.requestHeaders)
  const content = body ?? docs.optionalBody
  return {
    operationId: docs.operationId,
    tags: [docs.tag],
    summary: docs.summary,
    ...(docs.description !== undefined && { description: docs.description }),
    // A call with an `optional` token is shown without a lock.
    ...(route.auth === 'required' && { security: [{ token: [] }] }),
    ...(route.auth === 'ifSent' && { security: [{}, { token: [] }] }),
    requestParams: {
      ...(params !== undefined && { path: params as z.ZodObject }),
      ...(query !== undefined && { query: query as z.ZodObject }),
      ...(header !== undefined && { header }),
    },
    ...(content !== undefined && {
      requestBody: {
        required: body !== undefined && bodyForm?.optional !== true,
        content: {
          'application/json': { schema: content },
          ...(bodyForm?.mergePatch && { [MERGE_PATCH]: { schema: content } }),
        },
      },
    }),
    responses: responsesOf(route, docs),
  }
}

function headerSchema(headers: Record<string, string> | undefined): z.ZodObject | undefined {
  if (headers === undefined) return undefined
  const entries = Object.entries(headers).map(([name, description]) => [
    name,
    z.string().optional().meta({ description }),
  ])
  return z.object(Object.fromEntries(entries))
}

function responsesOf(route: Route, docs: RouteDocs): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {}
  for (const [status, response] of Object.entries(route.responses ?? {})) {
    responses[status as '200'] = responseOf(response)
  }
  for (const [status, codes] of problemsByStatus(route, docs)) {
    if (responses[status as '400'] !== undefined) continue
    const description = codes.map((code) => `\`${code}\``).join(', ')
    responses[status as '400'] = {
      description,
      content: {
        'application/problem+json': {
          schema: problemSchema,
          examples: problemExamples(route, codes),
        },
      },
    }
  }
  if (route.limit !== 'none') {
    responses['429'] = {
      description:
        'The client is over the rate limit. `Retry-After` and the `RateLimit` headers say when it may send requests again.',
      content: { 'application/json': { schema: tooManyRequestsSchema } },
    }
  }
  return responses
}

function responseOf({
  description,
  schema,
  otherMediaTypes,
  headers,
}: ResponseSpec): ZodOpenApiResponsesObject['200'] {
  const content: Record<string, { schema: z.ZodType; example?: string }> = {}
  if (schema !== undefined) content['application/json'] = { schema }
  for (const [mediaType, example] of Object.entries(otherMediaTypes ?? {})) {
    content[mediaType] = { schema: z.string(), example }
  }
  const headerEntries = Object.entries(headers ?? {}).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' as const } },
  ])
  return {
    description,
    ...(Object.keys(content).length > 0 && { content }),
    ...(headerEntries.length > 0 && { headers: Object.fromEntries(headerEntries) }),
  }
}

/** The problems of a route, including those of its guards. */
function problemsByStatus(route: Route, docs: RouteDocs): Map<string, ErrorCode[]> {
  const codes = new Set<ErrorCode>(docs.problems)
  if (route.auth === 'required' || route.auth === 'ifSent') codes.add('unauthorized')
  if (route.role !== undefined) codes.add('forbidden')
  const hasBody = route.body !== undefined || docs.optionalBody !== undefined
  if (hasBody) codes.add('payload_too_large').add('unsupported_media_type')
  if (hasBody || !route.ignoresQuery) codes.add('invalid_request')
  if (route.limit !== 'none') codes.add('busy')
  codes.add('internal')
  const sorted = [...codes].sort((a, b) => PROBLEMS[a].status - PROBLEMS[b].status)
  return Map.groupBy(sorted, (code) => String(PROBLEMS[code].status))
}
