/** The clock that the driver's threads share, ms; `performance.now()` counts from another start in each. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
