/** Measures what open pages of an event cost the clients that book. */
import { createHash } from 'node:crypto'
import { familyIdOf, firstRefreshToken, visitorName } from './driver/visitors.ts'
import { type Bench, measureBeside, type StreamsOptions, withClients } from './streams.ts'

const PAGES = 1000
/** How much of the bookings/s must remain. */
const AIM = 0.9

/** @returns whether the aim is reached */
export function measurePages(options: StreamsOptions): Promise<boolean> {
  // Each visitor has an address of their own, which a proxy reports.
  return withClients(options, { TRUST_PROXY_HOPS: '1' }, (bench) =>
    measureBeside(bench, { kind: 'pages', count: PAGES, aim: AIM, prepare: signInVisitors }),
  )
}

/** Gives each visitor an account and the refresh token with which their browser begins. */
async function signInVisitors({ client }: Bench): Promise<void> {
  const visitors = Array.from({ length: PAGES }, (_, visitor) => visitor)
  const names = visitors.map(visitorName)
  await client.query(
    `INSERT INTO users (user_id, password_hash) SELECT id, 'none' FROM unnest($1::text[]) AS id
      ON CONFLICT DO NOTHING`,
    [names],
  )
  await client.query('DELETE FROM refresh_tokens WHERE user_id = ANY($1::text[])', [names])
  await client.query(
    `INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
      SELECT hash, family::uuid, id, now() + interval '1 day'
      FROM unnest($1::text[], $2::text[], $3::text[]) AS t (hash, family, id)`,
    [
      visitors.map((visitor) =>
        createHash('sha256').update(firstRefreshToken(visitor)).digest('base64url'),
      ),
      visitors.map(familyIdOf),
      names,
    ],
  )
}
