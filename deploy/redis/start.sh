#!/bin/sh
# Starts Redis with two users: `ticket-line` for the services, with the rights in ticket-line.acl,
# and `default` for operators. Redis reads its configuration from standard input, because every user
# of the machine can read a process's arguments, and the passwords must not be among them.
set -eu

: "${CONFIGURATION:=/etc/ticket-line}"

digest() {
  printf '%s' "$1" | sha256sum | cut -d ' ' -f 1
}

rights=$(sed -e 's/#.*//' -e "s|tickets{|$KEY_PREFIX{|" "$CONFIGURATION/ticket-line.acl" | tr '\n' ' ')

# Redis evicts nothing. It may lose the last second, because PostgreSQL has a record of what was
# accepted. From Redis 7.2 on, clients say what they are with CLIENT SETINFO.
exec redis-server - <<EOF
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
maxmemory $REDIS_MAXMEMORY
save ""
user default on #$(digest "$REDIS_ADMIN_PASSWORD") ~* &* +@all
user ticket-line on #$(digest "$REDIS_PASSWORD") $rights +client|setinfo
EOF
