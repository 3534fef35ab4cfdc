/** How the settings of events are stored: one table, from which all SQL of settings is derived. */
import {
  DEFAULT_SALE_RULES,
  type EventDetails,
  nameKeyOf,
  type SaleRules,
} from '@ticket-line/shared'
import { exactTimeOf, msOf } from '../sql-times.js'

interface SettingColumn {
  column: string
  /** A `time` is ms since 1970 in code and in JSON. */
  type: 'text' | 'bool' | 'int' | 'time'
}

/** A column for each member. The compiler requires one if a setting is added. */
type ColumnsOf<Settings> = { readonly [Name in keyof Settings]: SettingColumn }

const DETAILS: ColumnsOf<EventDetails> = {
  name: { column: 'name', type: 'text' },
  startsAtMs: { column: 'starts_at', type: 'time' },
  endsAtMs: { column: 'ends_at', type: 'time' },
  timezone: { column: 'timezone', type: 'text' },
  venue: { column: 'venue', type: 'text' },
  url: { column: 'url', type: 'text' },
  listed: { column: 'listed', type: 'bool' },
  confirmation: { column: 'confirmation', type: 'text' },
}

const RULES: ColumnsOf<SaleRules> = {
  opensAtMs: { column: 'opens_at', type: 'time' },
  closesAtMs: { column: 'closes_at', type: 'time' },
  paused: { column: 'paused', type: 'bool' },
  promoting: { column: 'promoting', type: 'bool' },
  holdSeconds: { column: 'hold_seconds', type: 'int' },
  offerSeconds: { column: 'offer_seconds', type: 'int' },
  maxHoldSeconds: { column: 'max_hold_seconds', type: 'int' },
  maxWaiting: { column: 'max_waiting', type: 'int' },
}

// Settings are written from JSON, because texts that people write may contain what `arrayOf` cannot
// escape. `nameKey` is not a setting: it follows from the name; see `settingsJson`.
const WRITTEN: Record<string, SettingColumn> = {
  ...DETAILS,
  ...RULES,
  nameKey: { column: 'name_key', type: 'text' },
}

const selectListOf = (columns: Record<string, SettingColumn>): string =>
  Object.entries(columns)
    .map(([name, { column, type }]) => `${type === 'time' ? msOf(column) : column} AS "${name}"`)
    .join(', ')

/** The select list of `EventDetails`. Each column has the name of its member. */
export const SELECT_DETAILS = selectListOf({ ...DETAILS })
/** The select list of `SaleRules`. Each column has the name of its member. */
export const SELECT_RULES = selectListOf({ ...RULES })

/** A condition: the event has the default of each rule. */
export const HAS_DEFAULT_RULES = Object.entries(DEFAULT_SALE_RULES)
  .map(([name, value]) => {
    const { column } = RULES[name as keyof SaleRules]
    return value === null ? `${column} IS NULL` : `${value ? '' : 'NOT '}${column}`
  })
  .join(' AND ')

/** The columns of a row `n` that `jsonb_to_record` makes of {@link settingsJson}. */
export const SETTINGS_RECORD = Object.entries(WRITTEN)
  .map(([name, { type }]) => `"${name}" ${type === 'time' ? 'float8' : type}`)
  .join(', ')

/** The columns of `events` that settings are written to. */
export const SETTINGS_COLUMNS = Object.values(WRITTEN).map(({ column }) => column)

/** The values of {@link SETTINGS_COLUMNS} in a row `n` of {@link SETTINGS_RECORD}. */
export const SETTINGS_VALUES = Object.entries(WRITTEN).map(([name, { type }]) =>
  type === 'time' ? exactTimeOf(`n."${name}"`) : `n."${name}"`,
)

/** Settings as {@link SETTINGS_RECORD} reads them. Other members are kept as they are. */
export function settingsJson<Settings extends EventDetails & SaleRules>(
  settings: Settings,
): Settings & { nameKey: string | null } {
  return { ...settings, nameKey: settings.name === null ? null : nameKeyOf(settings.name) }
}
