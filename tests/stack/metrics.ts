/**
 * Reads the metrics of a process. The process serves the same page for a second.
 *
 * @param token METRICS_TOKEN, if it is set
 */
export async function readMetrics(url: string, token?: string): Promise<string> {
  const headers: Record<string, string> =
    token === undefined ? {} : { authorization: `Bearer ${token}` }
  return (await fetch(`${url}/metrics`, { headers })).text()
}

/** The value of a series, such as `ticket_line_held_tickets`. NaN if the page does not have it. */
export function metricIn(page: string, series: string): number {
  const line = page.split('\n').find((text) => text.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1))
}
