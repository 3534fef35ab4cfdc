CREATE TABLE events (
  event_id bigint PRIMARY KEY,
  total_tickets integer NOT NULL,
  available_tickets integer NOT NULL CHECK (available_tickets BETWEEN 0 AND total_tickets)
);
CREATE TABLE bookings (
  id bigserial PRIMARY KEY,
  event_id bigint NOT NULL REFERENCES events,
  user_id text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (event_id, user_id)
);
CREATE TABLE waiting_entries (
  id bigserial PRIMARY KEY,
  event_id bigint NOT NULL REFERENCES events,
  user_id text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (event_id, user_id)
);
CREATE INDEX waiting_entries_order ON waiting_entries (event_id, id);
