#!/bin/sh
# Replaces the data of PostgreSQL with its state at a given time, from the copies of backup.sh:
#   restore.sh                         lists what can be restored
#   restore.sh 2026-11-30T14:05:00Z    restores this time, in UTC
#   restore.sh latest                  restores as much as there is
# The data that is replaced is kept in $BACKUPS. PostgreSQL must be stopped.
set -eu
umask 077

: "${CONFIGURATION:=/etc/ticket-line}" "${SOCKETS:=/tmp}" "${LOG:=/tmp/recovery.log}"

fail() {
  echo "$1" >&2
  exit 1
}

# The base backups of all series, as "<time> <folder of the series>", the oldest first.
bases() {
  for base in "$BACKUPS"/2*Z/2*Z; do
    [ ! -d "$base" ] || echo "${base##*/} ${base%/*}"
  done | sort
}

if [ $# -eq 0 ]; then
  [ -n "$(bases)" ] || fail "There is no base backup in $BACKUPS."
  echo 'Any time since the first of these base backups can be restored:'
  bases | sed 's/^\(..........T..\)\(..\)\(..\)Z .*/  \1:\2:\3Z/'
  exit 0
fi

target=$1
if [ "$target" = latest ]; then
  chosen=$(bases | tail -n 1)
else
  echo "$target" | grep -Eqx '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z' ||
    fail "\"$target\" is not a time such as 2026-11-30T14:05:00Z, nor \"latest\"."
  chosen=$(bases | awk -v target="$(echo "$target" | tr -d :)" '$1 <= target' | tail -n 1)
fi
[ -n "$chosen" ] || fail "There is no base backup from before $target. Without a time, this command lists them."
base=${chosen#* }/${chosen%% *}
wal=${chosen#* }/wal

! pg_isready -q || fail 'PostgreSQL is running. Stop it first.'

if [ -n "$(ls -A "$PGDATA")" ]; then
  kept=$BACKUPS/replaced-$(date -u +%Y-%m-%dT%H%M%SZ).tar.gz
  echo "Keeping the current data in $kept"
  tar -czf "$kept" -C "$PGDATA" .
  find "$PGDATA" -mindepth 1 -maxdepth 1 -exec rm -rf {} \;
fi

echo "Restoring the base backup ${base##*/}"
tar -xzf "$base/base.tar.gz" -C "$PGDATA"
tar -xzf "$base/pg_wal.tar.gz" -C "$PGDATA/pg_wal"
chmod 700 "$PGDATA"
pg_verifybackup --quiet --manifest-path="$base/backup_manifest" "$PGDATA"

# PostgreSQL runs here until the recovery is complete, and takes no connection before that.
echo 'Applying the changes since then'
touch "$PGDATA/recovery.signal"
set -- -c listen_addresses= -c "unix_socket_directories=$SOCKETS" -c hot_standby=off \
  -c "hba_file=$CONFIGURATION/pg_hba.conf" -c log_error_verbosity=terse \
  -c "restore_command=sh '$CONFIGURATION/fetch-wal.sh' '$wal' %f '%p'" \
  -c recovery_target_timeline=current -c recovery_target_action=promote
[ "$target" = latest ] || set -- "$@" -c "recovery_target_time=$(echo "$target" | tr T ' ' | tr -d Z)+00"
postgres -D "$PGDATA" "$@" >"$LOG" 2>&1 &
server=$!
until PGHOST=$SOCKETS pg_isready -q; do
  kill -0 $server 2>/dev/null || {
    cat "$LOG" >&2
    fail 'The recovery failed. If it ended before the wanted time, nothing was committed after it: restore "latest".'
  }
  sleep 1
done
kill -INT $server
wait $server || fail "PostgreSQL did not shut down cleanly: $(tail -n 3 "$LOG")"
grep -E 'recovery stopping|last completed transaction' "$LOG" || :
echo 'The data is restored. "Restoring a backup" in docs/operations.md says what to do next.'
