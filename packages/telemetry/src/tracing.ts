import { ConfigError, type Env, type Log, readEnv } from '@ticket-line/shared'

export type Attributes = Record<string, string | number | boolean>

export interface SpanOptions {
  kind?: 'server' | 'consumer' | 'client' | 'internal'
  /** `traceparent` of what caused it, where that happened in another process; else the span around it. */
  parent?: string | undefined
  /** `traceparent`s of further causes. */
  links?: string[]
  attributes?: Attributes
}

/** A span that is under way. */
export interface OpenSpan {
  rename(name: string): void
  set(attributes: Attributes): void
}

/** Traces of one process. Where tracing is off there is none of it, and callers do nothing. */
export interface Tracing {
  /** Runs work in a span that ends with it; what is thrown is noted and thrown on. */
  span<T>(name: string, options: SpanOptions, work: (span: OpenSpan) => Promise<T>): Promise<T>
  /** Notes something that is over. */
  past(name: string, fromMs: number, toMs: number, options: SpanOptions): void
  /** `traceparent` of the span around the caller, for others to follow it; `undefined` where it is not recorded. */
  current(): string | undefined
  /**
   * Sends the remaining spans. Gives up after 1 s, or after a fifth of the process's grace if that
   * is less.
   */
  close(graceMs: number): Promise<void>
}

const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] as const

export interface TracingConfig {
  service: string
  exporter: 'otlp' | 'console'
  /** Share of traces that are recorded, 0 to 1. */
  ratio: number
}

/**
 * Reads OpenTelemetry's own variables: tracing is on where `OTEL_EXPORTER_OTLP_ENDPOINT` (or its form for traces) or
 * `OTEL_TRACES_EXPORTER` is set. Headers, time-outs and compression are read by the exporter itself.
 *
 * @returns `undefined` where tracing is off
 * @throws ConfigError naming the variable that cannot be used
 */
export function readTracingConfig(environment: Env, service: string): TracingConfig | undefined {
  const env = readEnv(environment)
  const exporter = env.optional('OTEL_TRACES_EXPORTER')
  const endpoint = ENDPOINTS.find((name) => env.optional(name) !== undefined)
  if (exporter === 'none' || env.flag('OTEL_SDK_DISABLED', false)) return undefined
  if (exporter === undefined && endpoint === undefined) return undefined
  if (exporter !== undefined && exporter !== 'otlp' && exporter !== 'console') {
    throw new ConfigError(`OTEL_TRACES_EXPORTER must be otlp, console or none, not "${exporter}"`)
  }
  if (exporter !== 'console')
    for (const name of ENDPOINTS) refuseBadAddress(name, env.optional(name))
  const ratio = Number(env.text('OTEL_TRACES_SAMPLER_ARG', '1'))
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new ConfigError(
      'OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1 of the traces to record',
    )
  }
  return {
    service: env.text('OTEL_SERVICE_NAME', `ticket-line-${service}`),
    exporter: exporter ?? 'otlp',
    ratio,
  }
}

/** The exporter would treat an address that it cannot read as unset, and send to localhost. */
function refuseBadAddress(name: string, value: string | undefined): void {
  if (value === undefined) return
  const url = URL.parse(value.trim())
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return
  throw new ConfigError(
    `${name} must be an http or https address, such as http://otel-collector:4318`,
  )
}

/** Starts tracing if it is on. The SDK is loaded only then: it costs 100 ms and 15 MB. */
export async function startTracing(
  config: TracingConfig | undefined,
  log: Log,
): Promise<Tracing | undefined> {
  if (config === undefined) return undefined
  const { createTracing } = await import('./otel.js')
  return createTracing(config, log)
}
