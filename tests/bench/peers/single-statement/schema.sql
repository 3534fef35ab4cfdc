CREATE TABLE events (
  event_id bigint PRIMARY KEY,
  total_tickets integer NOT NULL,
  -- Free tickets, or if negative, the length of the waiting list. With one number, one UPDATE
  -- decides.
  balance integer NOT NULL,
  last_sequence bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE claims (
  event_id bigint NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  waiting boolean NOT NULL,
  promoted boolean NOT NULL DEFAULT false,
  sequence bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (event_id, user_id)
);
CREATE INDEX claims_waiting ON claims (event_id, sequence) WHERE waiting;

-- Both functions lock the event's row first, so that they cannot deadlock.
CREATE FUNCTION book(wanted_event bigint, wanted_user text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  left_over integer;
  number bigint;
BEGIN
  UPDATE events SET balance = balance - 1, last_sequence = last_sequence + 1 WHERE event_id = wanted_event
    RETURNING balance, last_sequence INTO left_over, number;
  IF NOT FOUND THEN RETURN 'event_not_found'; END IF;
  INSERT INTO claims (event_id, user_id, waiting, sequence)
    VALUES (wanted_event, wanted_user, left_over < 0, number);
  RETURN CASE WHEN left_over < 0 THEN 'waiting' ELSE 'booked' END;
END $$;

CREATE FUNCTION cancel(wanted_event bigint, wanted_user text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  left_over integer;
  waited boolean;
BEGIN
  UPDATE events SET balance = balance + 1 WHERE event_id = wanted_event RETURNING balance INTO left_over;
  IF NOT FOUND THEN RETURN 'event_not_found'; END IF;
  DELETE FROM claims WHERE event_id = wanted_event AND user_id = wanted_user COLLATE "C"
    RETURNING waiting INTO waited;
  IF NOT FOUND THEN RAISE no_data_found; END IF;
  IF waited THEN RETURN 'withdrawn'; END IF;
  IF left_over <= 0 THEN
    UPDATE claims SET waiting = false, promoted = true WHERE event_id = wanted_event AND user_id = (
      SELECT user_id FROM claims WHERE event_id = wanted_event AND waiting ORDER BY sequence LIMIT 1);
  END IF;
  RETURN 'canceled';
END $$;
