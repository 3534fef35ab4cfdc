#!/bin/sh
# Starts nginx. `start.sh http` serves plain HTTP on port 8080, or redirects to HTTPS if the profile
# `tls` is in use. `start.sh https` serves HTTPS on port 8443. The configuration is mounted
# read-only, so this script writes what depends on settings to /tmp.
set -eu

server=$1
# The folders of the configuration, of what this script writes, and of the certificate. Tests set
# others.
: "${CONFIGURATION:=/etc/ticket-line}" "${SETTINGS:=/tmp/settings}" "${CERTIFICATES:=/etc/ticket-line-tls}"

fail() {
  echo "$1" >&2
  exit 1
}

# Splits a list at commas and spaces. No entry may be a pattern of file names, or expand to several.
set -f
entries() {
  printf '%s' "$1" | tr ',' ' '
}

case ",$(printf '%s' "${COMPOSE_PROFILES:-}" | tr -d ' ')," in
  *,tls,*) tls=yes ;;
  *) tls=no ;;
esac
if [ "$server" = https ]; then
  [ $tls = yes ] ||
    fail 'Set COMPOSE_PROFILES=tls in .env instead of --profile, so that plain HTTP is redirected and each `up` includes TLS.'
  for file in fullchain.pem privkey.pem; do
    [ -r "$CERTIFICATES/$file" ] ||
      fail "The user $(id -u) cannot read $file in the folder TLS_FOLDER. See \"TLS\" in docs/operations.md."
  done
elif [ $tls = yes ]; then
  server=redirect
fi

mkdir -p "$SETTINGS"
cp "$CONFIGURATION/$server.conf" "$SETTINGS/server.conf"

# A port that is not the standard one is part of the address to which nginx redirects.
port=${HTTPS_PORT:-443}
case $port in *[!0-9]*) fail "HTTPS_PORT must be a port, not \"$port\"." ;; esac
[ "$port" = 443 ] && port= || port=":$port"
echo "map \$host \$https_port { default \"$port\"; }" >"$SETTINGS/https-port.conf"

# The proxies in front of this one. nginx takes the client's address and scheme from their headers.
# Without them, all clients behind such a proxy count as one address.
{
  [ "${TRUST_PROXY_HOPS:-1}" -gt 1 ] && from_proxy=1 || from_proxy=0
  for network in $(entries "${TRUSTED_PROXIES:-}"); do
    case $network in
      *[!0-9A-Fa-f:./]*) fail "TRUSTED_PROXIES: \"$network\" is not a network such as 10.0.0.0/8." ;;
    esac
    echo "set_real_ip_from $network;"
  done
  echo "geo \$realip_remote_addr \$from_proxy {"
  echo "  default $from_proxy;"
  for network in $(entries "${TRUSTED_PROXIES:-}"); do
    echo "  $network 1;"
  done
  echo "}"
} >"$SETTINGS/trusted-proxies.conf"

# Pages of these origins can also read what nginx itself refuses. The API adds the headers to its
# own responses.
for origin in $(entries "${CORS_ORIGINS:-}"); do
  case $origin in
    *[!0-9A-Za-z:/.\[\]-]*) fail "CORS_ORIGINS: \"$origin\" is not an origin such as https://shop.example." ;;
  esac
  echo "\"$origin\" \$http_origin;"
done >"$SETTINGS/cors-origins.conf"

exec nginx -c "$CONFIGURATION/nginx.conf"
