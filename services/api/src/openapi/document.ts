import { VERSION } from '@ticket-line/shared'
import { z } from 'zod'
import { createDocument, type ZodOpenApiOperationObject } from 'zod-openapi'
import { MERGE_PATCH } from '../http/body.js'
import { problemSchema } from '../http/problem.js'
import type { Route, RouteDocs, Tag } from '../http/route.js'
import { problemExample } from './problem-examples.js'
import { responsesOf, type SharedResponses } from './responses.js'
import { simplifySchema, tidy } from './simplify.js'
import { webhookCalls } from './webhook-calls.js'

const DESCRIPTION = `A ticket booking service built for on-sale rushes. All requests for one event go through one line: first come, first served.

Errors are \`application/problem+json\` with a stable \`code\`; only 429 has another body. Later releases may add calls, optional parameters, members of responses, and values of \`code\`, \`outcome\` and \`type\`: a client must ignore what it does not know. Requests with unknown members or parameters are refused.`

const TAGS: Record<Tag, string> = {
  Booking:
    'Book a ticket, confirm or cancel it, and see what a user has. Commands of one event are decided in the order in which they arrive.',
  Events: 'Create events, change and cancel them, and see how many tickets are left.',
  Lists: 'What staff of an event read: its bookings, its waiting list, and every change.',
  'Live updates': 'Server-sent events, so that a page shows the current state without polling.',
  Webhooks: 'Have the changes of events sent to an endpoint of yours.',
  'API keys': 'Keys with which the backend of a shop calls this API.',
  Accounts: 'Accounts, sign-in and tokens.',
  Service: 'The name, version and paths of this installation.',
}

const SECURITY_SCHEMES = {
  token: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'The access token of a user, from `POST /login` or from your identity provider.',
  },
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'tlk_<id>_<secret>',
    description:
      'An API key, for backends. It acts for the person who created it, and needs the scope that the call names.',
  },
} as const

/**
 * Problems that no call of the document has. A client gets them for example from an older release.
 */
const OF_NO_CALL = ['not_found', 'method_not_allowed'] as const

/** The parts that several calls of a document share. */
interface Shared extends SharedResponses {
  /** Request headers that several calls read in the same way, by name. */
  parameters: Map<string, HeaderParameter>
  /** The description that most calls give to a header; undefined if all descriptions differ. */
  usualText(name: string): string | undefined
}

type HeaderParameter = {
  name: string
  in: 'header'
  description: string
  schema: { type: 'string' }
}

/**
 * Creates the OpenAPI 3.1 document of these routes from their own schemas. The same routes in the
 * same order give the same bytes.
 */
export function createOpenApiDocument(routes: readonly Route[]): object {
  const calls = routes.flatMap((route) =>
    route.docs === undefined ? [] : [{ route, docs: route.docs }],
  )
  const shared: Shared = {
    headers: new Map(),
    responses: new Map(),
    examples: new Map(),
    parameters: new Map(),
    usualText: (name) => usualTextOf(calls.map(({ docs }) => docs.requestHeaders?.[name])),
  }
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const { route, docs } of calls) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    const operation = operationOf(route, docs, shared)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation }
  }
  const tags = new Set(calls.map(({ docs }) => docs.tag))
  const document = createDocument(
    {
      openapi: '3.1.0',
      info: {
        title: 'Ticket Line',
        version: VERSION,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This installation.' }],
      tags: Object.entries(TAGS)
        .filter(([name]) => tags.has(name as Tag))
        .map(([name, description]) => ({ name, description })),
      paths,
      webhooks: webhookCalls,
      components: {
        securitySchemes: SECURITY_SCHEMES,
        headers: Object.fromEntries(shared.headers),
        parameters: Object.fromEntries(shared.parameters),
        responses: Object.fromEntries(shared.responses),
        examples: Object.fromEntries(shared.examples),
      },
    },
    {
      override(context) {
        simplifySchema(context)
        if (context.zodSchema === problemSchema)
          context.jsonSchema.examples = OF_NO_CALL.map(problemExample)
      },
    },
  )
  return tidy(document)
}

function operationOf(route: Route, docs: RouteDocs, shared: Shared): ZodOpenApiOperationObject {
  const { body, bodyForm, params, query } = route
  const content = body ?? docs.optionalBody
  const shown = content && { schema: content, example: z.globalRegistry.get(content)?.example }
  return {
    operationId: docs.operationId,
    tags: [docs.tag],
    summary: docs.summary,
    ...(docs.description !== undefined && { description: docs.description }),
    security: securityOf(route),
    requestParams: {
      ...(params !== undefined && { path: params as z.ZodObject }),
      ...(query !== undefined && { query: query as z.ZodObject }),
    },
    parameters: headerParameters(docs, shared),
    ...(shown !== undefined && {
      requestBody: {
        required: body !== undefined && bodyForm?.optional !== true,
        content: {
          'application/json': shown,
          ...(bodyForm?.mergePatch && { [MERGE_PATCH]: shown }),
        },
      },
    }),
    responses: responsesOf(route, docs, shared),
  }
}

/** What a call needs: a token, or an API key with one of the scopes of the route. */
function securityOf({ auth, scope = [] }: Route): Record<string, string[]>[] {
  if (auth === 'none') return []
  if (auth !== 'required') return [{}, { token: [] }, { apiKey: [] }]
  return [{ token: [] }, ...[scope].flat().map((one) => ({ apiKey: [one] }))]
}

function headerParameters({ requestHeaders = {} }: RouteDocs, shared: Shared) {
  return Object.entries(requestHeaders).map(([name, description]) => {
    const parameter: HeaderParameter = {
      name,
      in: 'header',
      description,
      schema: { type: 'string' },
    }
    if (description !== shared.usualText(name)) return parameter
    const key = name.replaceAll('-', '')
    shared.parameters.set(key, parameter)
    return { $ref: `#/components/parameters/${key}` }
  })
}

function usualTextOf(texts: readonly (string | undefined)[]): string | undefined {
  const uses = Map.groupBy(texts, (text) => text)
  uses.delete(undefined)
  const [most] = [...uses].toSorted(([, a], [, b]) => b.length - a.length)
  return most !== undefined && most[1].length > 1 ? most[0] : undefined
}
