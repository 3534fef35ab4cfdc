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
import { formatTraceparent, parseTraceparent } from './trace-context.js'
import type { SpanOptions, Tracing, TracingConfig } from './tracing.js'
import { watchExporter } from './watched-exporter.js'

const KINDS = {
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
}

/** How long a collector that does not answer may delay the end of the process, ms. */
const MAX_CLOSE_MS = 1000

/** Loaded by `startTracing` alone. */
export function createTracing({ service, exporter, ratio }: TracingConfig, log: Log): Tracing {
  const watched = watchExporter(
    exporter === 'console' ? new ConsoleSpanExporter() : new OTLPTraceExporter(),
    {
      onLost: (err) => log.warn({ err }, 'traces are lost: the collector does not take them'),
      onBack: (lostSpans) => log.info({ lostSpans }, 'the collector takes traces again'),
    },
  )
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const sampler = new TraceIdRatioBasedSampler(ratio)
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': VERSION }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    // A client's wish to be recorded counts no more than the share: else anybody could have everything recorded.
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
      // It rejects if the last spans could not be sent. The exporter has reported that.
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
