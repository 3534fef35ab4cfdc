import { AppError } from '@ticket-line/shared'

/** A server this product needs is out of reach; nothing was kept. */
export function unavailable(cause?: unknown): AppError {
  const message =
    'The service cannot reach a server it needs. Nothing was changed, please try again in a moment.'
  return new AppError('unavailable', message, { headers: { 'retry-after': '1' }, cause })
}

/** Throws `unavailable()`, for a server that did not answer in time. */
export function throwUnavailable(): never {
  throw unavailable()
}

/** There is no event of that id. */
export function eventNotFound(): AppError {
  return new AppError('event_not_found', 'There is no such event.')
}
