#!/bin/sh
# Starts a sync by HTTP and waits until it has ended.
# Usage: LONGSHORE_URL=http://localhost:8080 LONGSHORE_TOKEN=… http.sh <import storage>
set -eu
storage=$1

api() { curl --silent --show-error --fail-with-body --header "Authorization: Token $LONGSHORE_TOKEN" "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# A retry with the same key starts nothing new, even if the first answer was lost.
key="nightly-$(date +%F)-$storage"
sync=$(api --request POST --header "Idempotency-Key: $key" "$LONGSHORE_URL/api/storages/s3/$storage/sync" | field last_sync_job)

while :; do
    status=$(api "$LONGSHORE_URL/api/syncs/$sync" | field status)
    case $status in
        completed) echo "sync $sync completed"; exit 0 ;;
        completed_with_errors) echo "sync $sync completed; see $LONGSHORE_URL/api/quarantine?storage=$storage"; exit 0 ;;
        failed | cancelled) echo "sync $sync $status" >&2; exit 1 ;;
    esac
    sleep 1
done
