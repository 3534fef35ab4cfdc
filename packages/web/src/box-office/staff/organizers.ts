/** A change to the list of organizers of an event. */
export type OrganizersChange = { add: string } | { remove: string }

/** The most organizers that an event can have. */
export const MAX_ORGANIZERS = 50

/**
 * Applies a change to the list as it is now. The API replaces the whole list, so a change to an
 * older list would undo what somebody else has changed since.
 */
export function changeOrganizers(present: readonly string[], change: OrganizersChange): string[] {
  if ('remove' in change) return present.filter((userId) => userId !== change.remove)
  return present.includes(change.add) ? [...present] : [...present, change.add]
}
