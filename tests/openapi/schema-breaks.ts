/** A schema of the document: an object of JSON Schema. */
export type Schema = Record<string, unknown>
/** The named schemas of a document. */
export type Schemas = Record<string, Schema>

/** `sent`: clients send such values. `received`: clients receive them. */
export type Direction = 'sent' | 'received'

/**
 * Enums that may grow, as the description of the document says. Clients must ignore values that
 * they do not know.
 */
const GROWING = new Set(['ErrorCode', 'Outcome', 'ChangeType', 'CommandType', 'Scope'])

/** Limits that refuse more values if they rise, and if they fall. */
const LOWER_LIMITS = ['minimum', 'minLength', 'minItems']
const UPPER_LIMITS = ['maximum', 'maxLength', 'maxItems']

/**
 * Finds what the change of a schema breaks. A value that clients send must still be accepted. A
 * value that they receive must still be one that they knew. It may have new members, and new values
 * of some enums.
 */
export class SchemaComparison {
  readonly #before: Schemas
  readonly #after: Schemas
  readonly #seen = new Set<string>()

  constructor(before: Schemas, after: Schemas) {
    this.#before = before
    this.#after = after
  }

  /** @returns one sentence for each break, which begins with the place */
  breaksOf(before: Schema, after: Schema, direction: Direction, place: string): string[] {
    const [oldName, newName] = [nameOf(before), nameOf(after)]
    if (oldName !== undefined && newName !== undefined) {
      if (oldName !== newName) return [`${place} is called ${newName} instead of ${oldName}`]
      // Each named schema is compared once, under its own name.
      if (this.#seen.has(`${direction} ${oldName}`)) return []
      this.#seen.add(`${direction} ${oldName}`)
    }
    const at = oldName ?? place
    const old = resolve(before, this.#before)
    const now = resolve(after, this.#after)
    if (variantsOf(old) !== undefined || variantsOf(now) !== undefined)
      return this.#breaksOfUnion(old, now, direction, at)
    const breaks = [
      ...breaksOfTypes(old, now, direction, at),
      ...breaksOfEnum(old, now, direction, at, GROWING.has(oldName ?? '')),
      ...(direction === 'sent' ? breaksOfLimits(old, now, at) : []),
      ...this.#breaksOfMembers(old, now, direction, at),
    ]
    if (old['format'] !== now['format'])
      breaks.push(`${at} has the format ${now['format']} instead of ${old['format']}`)
    if (isSchema(old['items']) && isSchema(now['items']))
      breaks.push(...this.breaksOf(old['items'], now['items'], direction, `${at}[]`))
    return breaks
  }

  /** Each variant that a client may send or has to understand needs its equal on the other side. */
  #breaksOfUnion(old: Schema, now: Schema, direction: Direction, at: string): string[] {
    const [needed, known] = direction === 'sent' ? [old, now] : [now, old]
    const candidates = variantsOf(known) ?? [known]
    const missing = (variantsOf(needed) ?? [needed]).filter(
      (variant) => !candidates.some((other) => this.#isCompatible(variant, other, direction)),
    )
    const breaks = missing.map((variant) =>
      direction === 'sent'
        ? `${at} no longer accepts ${labelOf(variant)}`
        : `${at} can be ${labelOf(variant)} now`,
    )
    // The named variants are compared in full, so that a break names the member.
    for (const variant of variantsOf(old) ?? []) {
      const same = variantsOf(now)?.find((other) => nameOf(other) === nameOf(variant))
      if (nameOf(variant) !== undefined && same !== undefined)
        breaks.push(...this.breaksOf(variant, same, direction, at))
    }
    if (discriminatorOf(old) !== discriminatorOf(now))
      breaks.push(`${at} is discriminated by ${discriminatorOf(now)}, not ${discriminatorOf(old)}`)
    return breaks
  }

  #isCompatible(needed: Schema, known: Schema, direction: Direction): boolean {
    if (nameOf(needed) !== undefined || nameOf(known) !== undefined)
      return nameOf(needed) === nameOf(known)
    const [before, after] = direction === 'sent' ? [needed, known] : [known, needed]
    const alone = new SchemaComparison(this.#before, this.#after)
    return alone.breaksOf(before, after, direction, '').length === 0
  }

  #breaksOfMembers(old: Schema, now: Schema, direction: Direction, at: string): string[] {
    const members = membersOf(old)
    const others = membersOf(now)
    const [needed, needs] = [requiredOf(old), requiredOf(now)]
    const breaks: string[] = []
    for (const [name, member] of Object.entries(members)) {
      const other = others[name]
      if (other === undefined) breaks.push(`${at}.${name} is gone`)
      else breaks.push(...this.breaksOf(member, other, direction, `${at}.${name}`))
    }
    if (direction === 'sent') {
      const more = [...needs].filter((name) => !needed.has(name))
      breaks.push(...more.map((name) => `${at}.${name} is required now`))
      const isClosed = now['additionalProperties'] === false
      if (isClosed && old['additionalProperties'] !== false && old['type'] === 'object')
        breaks.push(`${at} no longer accepts other members`)
    } else {
      const less = [...needed].filter((name) => name in others && !needs.has(name))
      breaks.push(...less.map((name) => `${at}.${name} may be absent now`))
    }
    return breaks
  }
}

function breaksOfTypes(old: Schema, now: Schema, direction: Direction, at: string): string[] {
  const [before, after] = [typesOf(old), typesOf(now)]
  if (direction === 'sent') {
    const refused = before.filter((type) => !accepts(after, type))
    return refused.map((type) => `${at} no longer accepts ${type}`)
  }
  const unknown = after.filter((type) => !accepts(before, type))
  return unknown.map((type) => `${at} can be ${type} now`)
}

function accepts(types: readonly string[], type: string): boolean {
  if (types.includes('any')) return true
  return types.includes(type) || (type === 'integer' && types.includes('number'))
}

function breaksOfEnum(
  old: Schema,
  now: Schema,
  direction: Direction,
  at: string,
  mayGrow: boolean,
): string[] {
  const [before, after] = [valuesOf(old), valuesOf(now)]
  if (direction === 'sent') {
    if (after === undefined) return []
    if (before === undefined) return [`${at} only accepts certain values now`]
    const refused = before.filter((value) => !after.includes(value))
    return refused.map((value) => `${at} no longer accepts ${JSON.stringify(value)}`)
  }
  if (before === undefined) return []
  if (after === undefined) return [`${at} can have any value now`]
  const unknown = mayGrow ? [] : after.filter((value) => !before.includes(value))
  return unknown.map((value) => `${at} can be ${JSON.stringify(value)} now`)
}

function breaksOfLimits(old: Schema, now: Schema, at: string): string[] {
  const narrower = [
    ...LOWER_LIMITS.filter((name) => limitOf(now, name, -Infinity) > limitOf(old, name, -Infinity)),
    ...UPPER_LIMITS.filter((name) => limitOf(now, name, Infinity) < limitOf(old, name, Infinity)),
    ...(now['pattern'] !== undefined && now['pattern'] !== old['pattern'] ? ['pattern'] : []),
  ]
  return narrower.map((name) => `${at} has the ${name} ${now[name]} now`)
}

const limitOf = (schema: Schema, name: string, without: number): number =>
  (schema[name] as number | undefined) ?? without

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nameOf(schema: Schema): string | undefined {
  return (schema['$ref'] as string | undefined)?.split('/').at(-1)
}

function resolve(schema: Schema, schemas: Schemas): Schema {
  const name = nameOf(schema)
  return name === undefined ? schema : (schemas[name] ?? {})
}

function labelOf(variant: Schema): string {
  return nameOf(variant) ?? JSON.stringify(variant['type'] ?? variant)
}

function variantsOf(schema: Schema): Schema[] | undefined {
  return (schema['oneOf'] ?? schema['anyOf']) as Schema[] | undefined
}

function discriminatorOf(schema: Schema): string {
  const discriminator = schema['discriminator'] as { propertyName: string } | undefined
  return discriminator?.propertyName ?? 'nothing'
}

function typesOf({ type }: Schema): string[] {
  return type === undefined ? ['any'] : [type as string | string[]].flat()
}

/** The values of an enum or a constant; undefined if all values of the type are allowed. */
function valuesOf(schema: Schema): unknown[] | undefined {
  return 'const' in schema ? [schema['const']] : (schema['enum'] as unknown[] | undefined)
}

const membersOf = (schema: Schema): Schemas => (schema['properties'] ?? {}) as Schemas
const requiredOf = (schema: Schema): Set<string> => new Set((schema['required'] ?? []) as string[])
