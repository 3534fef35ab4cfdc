import type { ErrorCode } from '@ticket-line/shared'
import type { z } from 'zod'

/** A success as OpenAPI shows it. */
export interface ResponseDocs {
  description: string
  /** Body as `application/json`; none where absent. */
  schema?: z.ZodType
  /** Other media types of the same content, with an example line or two. */
  otherMediaTypes?: Record<string, string>
  headers?: Record<string, string>
}

/** A route's words for OpenAPI. Schemas of its input come from the route itself. */
export interface RouteDocs {
  summary: string
  description?: string
  tag: 'Booking' | 'Events' | 'Accounts' | 'Operations'
  /** By status. */
  responses: Record<number, ResponseDocs>
  /** Problems it can answer, beside those its guards bring along (401, 403, 413, 415, 429, 400). */
  problems?: ErrorCode[]
  /** A body that the handler reads by itself where there is one. */
  optionalBody?: z.ZodType
  /** Request headers it honours, with a sentence each. */
  requestHeaders?: Record<string, string>
}
