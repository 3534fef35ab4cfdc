#!/bin/sh
# The restore_command of a recovery. Copies a WAL file of a folder to a path:
# fetch-wal.sh <folder> <name> <path>
set -eu
file=$1/$2
# A restored PostgreSQL takes the first timeline that has no history yet. All series count, so that
# two restores of the same backup do not get the same timeline.
case $2 in
  *.history)
    for file in "$file" "$1"/../../*/wal/"$2"; do
      [ ! -f "$file" ] || exec cp "$file" "$3"
    done
    exit 1
    ;;
esac
if [ -f "$file" ]; then
  cp "$file" "$3"
elif [ -f "$file.gz" ]; then
  gzip -dc "$file.gz" >"$3"
else
  # The last file, which is incomplete. PostgreSQL uses what is in it.
  cp "$file.partial" "$3"
fi
