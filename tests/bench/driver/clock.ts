/** Clock of all threads of the driver, ms. `performance.now()` starts from zero in each thread. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
