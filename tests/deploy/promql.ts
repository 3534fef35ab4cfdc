/** The parts of an expression without metrics: strings, matchers, ranges, groupings, variables. */
const IGNORED = [
  /"(?:[^"\\]|\\.)*"/g,
  /\{[^}]*\}/g,
  /\[[^\]]*\]/g,
  /\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g,
  /\$\w+/g,
]
const OPERATORS = new Set(['and', 'or', 'unless', 'bool', 'offset'])

/** The names of the metrics in a PromQL expression. */
export function metricsIn(expression: string): string[] {
  const bare = IGNORED.reduce((text, pattern) => text.replaceAll(pattern, ' '), expression)
  // A name before a parenthesis is that of a function or an aggregation.
  const names = bare.match(/\b[a-zA-Z_:][\w:]*\b(?!\s*\()/g) ?? []
  return names.filter((name) => !OPERATORS.has(name))
}
