import { ConfigError, type Env, readEnv } from '@ticket-line/shared'

export type Attributes = Record<string, string | number | boolean>

export interface SpanOptions {
  kind?: 'server' | 'consumer' | 'client' | 'internal'
  /** `traceparent` of the cause in another process. By default the parent is the active span. */
  parent?: string | undefined
  /** `traceparent`s of further causes. */
  links?: string[]
  attributes?: Attributes
}

/** A span that has not ended. */
export interface OpenSpan {
  rename(name: string): void
  set(attributes: Attributes): void
}

/** Tracing of one process. It is undefined if tracing is off. */
export interface Tracing {
  /** Runs work in a span that ends with it. An error is recorded and thrown again. */
  span<T>(name: string, options: SpanOptions, work: (span: OpenSpan) => Promise<T>): Promise<T>
  /** Records a span that has already ended. */
  past(name: string, fromMs: number, toMs: number, options: SpanOptions): void
  /** `traceparent` of the active span, to pass on; undefined if the span is not recorded. */
  current(): string | undefined
  /**
   * Sends the remaining spans. It gives up after 1 s, or after a fifth of `graceMs` if that is
   * less.
   */
  close(graceMs: number): Promise<void>
}

const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] as const

export interface TracingConfig {
  service: string
  exporter: 'otlp' | 'console'
  /** The share of traces that are recorded, from 0 to 1. */
  ratio: number
}

/**
 * Reads the variables of OpenTelemetry. Tracing is on if `OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER` is set. The exporter itself reads
 * headers, timeouts and compression.
 *
 * @returns undefined if tracing is off
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

/** The exporter would ignore an address that it cannot parse, and send to localhost. */
function refuseBadAddress(name: string, value: string | undefined): void {
  if (value === undefined) return
  const url = URL.parse(value.trim())
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return
  throw new ConfigError(
    `${name} must be an http or https address, such as http://otel-collector:4318`,
  )
}
