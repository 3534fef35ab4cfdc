import {
  type Context,
  context,
  type Exception,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { describeError, type Log, VERSION, withDeadline } from '@ticket-line/shared'
import type { SpanOptions, Tracing, TracingConfig } from './tracing.js'
import { watchExporter } from './watched-exporter.js'

const KINDS = {
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
}

/** How long a collector that does not answer can delay the end of the process, ms. */
const MAX_CLOSE_MS = 1000

/** Creates tracing with the SDK of OpenTelemetry. Only `startTracing` loads this file. */
export function createTracing({ service, exporter, ratio }: TracingConfig, log: Log): Tracing {
  const watched = watchExporter(
    exporter === 'console' ? new ConsoleSpanExporter() : new OTLPTraceExporter(),
    {
      onLost: (err) => log.warn({ err }, 'traces are lost: the collector does not accept them'),
      onBack: (lostSpans) => log.info({ lostSpans }, 'the collector accepts traces again'),
    },
  )
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const sampler = new TraceIdRatioBasedSampler(ratio)
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': VERSION }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    // The sampled flag of a client does not override `ratio`. Otherwise any client could have all
    // its requests recorded.
    sampler: new ParentBasedSampler({ root: sampler, remoteParentSampled: sampler }),
    spanProcessors: [new BatchSpanProcessor({ exporter: watched })],
  })
  const tracer = provider.getTracer('ticket-line')

  function startSpan(
    name: string,
    options: SpanOptions,
    startTime?: number,
  ): { span: Span; parent: Context } {
    const parent = parentOf(options)
    const links = (options.links ?? []).flatMap((link) => linkTo(link))
    const span = tracer.startSpan(
      name,
      {
        kind: KINDS[options.kind ?? 'internal'],
        attributes: options.attributes ?? {},
        links,
        ...(startTime !== undefined && { startTime }),
      },
      parent,
    )
    return { span, parent }
  }

  return {
    async span(name, options, work) {
      const { span, parent } = startSpan(name, options)
      try {
        return await context.with(trace.setSpan(parent, span), () =>
          work({
            rename: (to) => void span.updateName(to),
            set: (attributes) => void span.setAttributes(attributes),
          }),
        )
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR })
        span.recordException(exceptionOf(error))
        throw error
      } finally {
        span.end()
      }
    },
    past(name, fromMs, toMs, options) {
      startSpan(name, options, fromMs).span.end(toMs)
    },
    current() {
      const span = trace.getSpanContext(context.active())
      if (span === undefined || (span.traceFlags & TraceFlags.SAMPLED) === 0) return undefined
      return formatTraceparent({ traceId: span.traceId, spanId: span.spanId, sampled: true })
    },
    async close(graceMs) {
      // `shutdown` rejects if the last spans could not be sent. `watched` has reported that.
      const closed = provider.shutdown().catch(() => undefined)
      await withDeadline(closed, Math.min(MAX_CLOSE_MS, graceMs / 5), () => watched.giveUp())
    },
  }
}

/** Traces leave the machine, so they contain no more of an error than the log does. */
function exceptionOf(error: unknown): Exception {
  const { type, message, code, stack } = describeError(error)
  return {
    name: type,
    message,
    ...(code !== undefined && { code }),
    ...(stack !== undefined && { stack }),
  }
}

function parentOf({ parent }: SpanOptions): Context {
  if (parent === undefined) return context.active()
  const remote = spanContextOf(parent)
  return remote === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote)
}

function linkTo(traceparent: string): Link[] {
  const linked = spanContextOf(traceparent)
  return linked === undefined ? [] : [{ context: linked }]
}

function spanContextOf(traceparent: string) {
  const parsed = parseTraceparent(traceparent)
  if (parsed === undefined) return undefined
  const { traceId, spanId, sampled } = parsed
  return {
    traceId,
    spanId,
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  }
}

/** The position of a span in a trace, which processes pass on as a `traceparent` header. */
interface TraceContext {
  traceId: string
  spanId: string
  sampled: boolean
}

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Parses a `traceparent`; undefined if it is invalid (W3C Trace Context, section 3.2). */
function parseTraceparent(text: string | undefined): TraceContext | undefined {
  const match = text === undefined ? null : traceparent.exec(text)
  if (match === null) return undefined
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string]
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** Formats a `traceparent`. */
function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}
