#!/bin/sh
# Copies PostgreSQL, so that restore.sh can restore any moment of the last days. It copies every
# change at once (the write-ahead log, WAL), and all data every BACKUP_INTERVAL_MINUTES (a base
# backup).
#
#   $BACKUPS/<series>/wal/      the WAL without gaps; files that are complete are compressed
#   $BACKUPS/<series>/<time>/   a base backup, and when it was complete, in UTC
#
# A series ends when PostgreSQL is restored or replaced, or deletes WAL that was not copied yet. The
# variables of libpq describe the connection (PGHOST, PGUSER, PGPASSWORD, PGDATABASE).
set -eu
umask 077

: "${BACKUP_INTERVAL_MINUTES:=1440}" "${BACKUP_RETENTION_DAYS:=7}"
: "${ROUND_S:=60}" "${HEALTHY:=/tmp/healthy}"
retention_minutes=$((BACKUP_RETENTION_DAYS * 1440))
slot=ticket_line_backup

now() {
  date -u +%Y-%m-%dT%H%M%SZ
}

say() {
  echo "$(now) $1"
}

fail() {
  say "$1" >&2
  exit 1
}

query() {
  psql --no-psqlrc --no-align --tuples-only --no-password --command="$1"
}

# The replication slot makes PostgreSQL keep the WAL that is not copied yet, up to
# max_slot_wal_keep_size. Beyond that, the state is "lost". It is empty if the slot does not exist,
# as after a restore, or was never used.
slot_state() {
  query "SELECT wal_status FROM pg_replication_slots WHERE slot_name = '$slot'"
}

folder=
state=$(slot_state) || fail 'PostgreSQL does not answer'
case $state in
  '' | lost) ;;
  *) folder=$(find "$BACKUPS" -mindepth 1 -maxdepth 1 -type d -name '2*Z' | sort | tail -n 1) ;;
esac
if [ -z "$folder" ]; then
  [ "$state" != lost ] || say 'PostgreSQL has deleted WAL that was not copied: a new series begins'
  folder=$BACKUPS/$(now)
  [ "$state" = '' ] || pg_receivewal --no-password --slot=$slot --drop-slot
  pg_receivewal --no-password --slot=$slot --create-slot --if-not-exists
fi
mkdir -p "$folder/wal"

# While a shell waits for a command in the foreground, it does not react to SIGTERM. So `sleep` runs
# in the background, too.
wal_pid=
stop() {
  [ -z "$wal_pid" ] || kill "$wal_pid" 2>/dev/null || :
  exit 0
}
trap stop TERM INT
pg_receivewal --no-password --slot=$slot --directory="$folder/wal" &
wal_pid=$!

# True if a base backup was completed within this number of minutes.
has_base_within() {
  [ -n "$(find "$folder" -mindepth 1 -maxdepth 1 -name '2*Z' -mmin "-$1")" ]
}

# The first base backup does not wait for the next checkpoint, because nothing can be restored until
# it is complete. The others wait, so that they do not slow down a sale.
take_base() {
  [ -n "$(find "$folder" -mindepth 1 -maxdepth 1 -name '2*Z')" ] && checkpoint=spread || checkpoint=fast
  rm -rf "$folder/unfinished"
  pg_basebackup --no-password --pgdata="$folder/unfinished" --format=tar --gzip \
    --wal-method=stream --checkpoint=$checkpoint || return 1
  # The oldest WAL file that this backup needs.
  tar -xzOf "$folder/unfinished/base.tar.gz" backup_label |
    sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' >"$folder/unfinished/first-wal"
  [ -s "$folder/unfinished/first-wal" ] || return 1
  base=$folder/$(now)
  mv "$folder/unfinished" "$base"
  touch "$base"
  say "the base backup ${base##*/} is complete"
}

# Deletes each base backup whose successor is older than the retention, the WAL before the oldest
# base backup that is left, and each series in which nothing was written during the retention.
prune() {
  previous=
  for base in "$folder"/2*Z; do
    [ -d "$base" ] || continue
    if [ -n "$previous" ] && [ -z "$(find "$base" -maxdepth 0 -mmin "-$retention_minutes")" ]; then
      rm -rf "$previous"
      say "deleted the base backup ${previous##*/}"
    fi
    previous=$base
  done
  for base in "$folder"/2*Z; do
    [ ! -d "$base" ] || pg_archivecleanup -x .gz "$folder/wal" "$(cat "$base/first-wal")"
    break
  done
  for series in "$BACKUPS"/2*Z; do
    [ "$series" = "$folder" ] || [ -n "$(find "$series" -type f -mmin "-$retention_minutes")" ] ||
      rm -rf "$series"
  done
}

while :; do
  kill -0 "$wal_pid" 2>/dev/null || fail 'pg_receivewal has ended'
  [ "$(slot_state)" != lost ] || fail 'PostgreSQL has deleted WAL that was not copied'
  healthy=yes
  # A restore stops before the first commit after the wanted time. This commit lets it find the time
  # if nothing else was committed since.
  query 'SELECT FROM pg_current_xact_id()' >/dev/null || healthy=no
  if ! has_base_within "$BACKUP_INTERVAL_MINUTES" && ! take_base; then
    say 'the base backup failed' >&2
    healthy=no
  fi
  for file in "$folder"/wal/????????????????????????; do
    [ ! -f "$file" ] || gzip -f "$file" || healthy=no
  done
  prune || healthy=no
  [ $healthy = no ] || touch "$HEALTHY"
  sleep "$ROUND_S" &
  wait $! || :
done
