/**
 * The way through a list: the `after` of each page that was opened, up to the page that is shown.
 * The first page has none. Pages are not kept, so that a list of a million rows needs no more
 * memory than one page.
 */
export type Trail = readonly [undefined, ...string[]]

export const FIRST_PAGE: Trail = [undefined]

/** Leads to the page that begins after the one that is shown. @param next `next` of that page */
export function forward(trail: Trail, next: string): Trail {
  return [...trail, next]
}

/** Leads to the page before; the first page has none. */
export function back(trail: Trail): Trail {
  const [, ...rest] = trail
  return [undefined, ...rest.slice(0, -1)]
}

/** The `after` of the page that is shown. */
export function positionOf(trail: Trail): string | undefined {
  return trail[trail.length - 1]
}
