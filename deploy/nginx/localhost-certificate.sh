#!/bin/sh
# Creates a certificate for localhost, to try the profile `tls`: localhost-certificate.sh [folder]
# Everybody on this machine can read its key, because the user of nginx has to.
set -eu
umask 022
folder=${1:-tls}
mkdir -p "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
  -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1' \
  -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
chmod 644 "$folder/privkey.pem"
echo "Created $folder/fullchain.pem. Clients need it as a trusted authority, such as curl --cacert, or"
echo "NODE_EXTRA_CA_CERTS=$folder/fullchain.pem."
