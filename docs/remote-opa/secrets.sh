#!/bin/sh
# Makes the certificate of OPA with its authority, and a token each for the operator, which loads rules, and the webhook,
# which asks. Run it again to replace all of them; then: kubectl -n iocaudit rollout restart deployment/iocaudit-opa
set -eu
namespace=${NAMESPACE:-iocaudit}
names=${OPA_NAMES:-DNS:iocaudit-opa.$namespace.svc}
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $key -days 3650 -subj /CN=iocaudit-opa-ca -keyout ca.key -out ca.crt 2>/dev/null
openssl req $key -subj /CN=iocaudit-opa -keyout tls.key -out tls.csr 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" > names
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile names -out tls.crt 2>/dev/null

for client in loads asks; do
  openssl rand -hex 32 | tr -d '\n' > "$client"
done
sha() { sha256sum < "$1" | cut -d ' ' -f 1; }
cat > tokens.json <<END
{"opa_clients": {
  "$(sha loads)": {"owner": "iocaudit", "loads": true},
  "$(sha asks)": {"owner": "iocaudit", "loads": false}
}}
END

secret() { kubectl -n "$namespace" create secret "$@" --dry-run=client -o yaml | kubectl apply -f - ; }
secret tls iocaudit-opa-tls --cert=tls.crt --key=tls.key
secret generic iocaudit-opa-clients --from-file=tokens.json
for client in loads asks; do
  secret generic "iocaudit-opa-$client" --from-file=token="$client" --from-file=ca.crt
done
