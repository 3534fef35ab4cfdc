let made = 0

/** Begins to count anew: the same simulation gives the same ids. */
export function resetJobIds(): void {
  made = 0
}

/** Like the product's, with a number in place of randomness. */
export function newJobId(lineName: string, commandCount: number, nowMs: number): string {
  const time = nowMs.toString(36).padStart(9, '0')
  return `${lineName}.${time}${(made++).toString(36).padStart(12, '0')}.${commandCount}`
}
