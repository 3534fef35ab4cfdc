/** Whether a text is the id of an event, without leading zeros. */
export function isEventId(text: string): boolean {
  return /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text))
}
