-- Starts a sync in the host's own transaction: it is queued if the transaction commits, and only then.
-- Usage: psql "$DATABASE_URL" --set storage=3 --set ON_ERROR_STOP=1 --file enqueue.sql
BEGIN;
-- … the host's own changes …
SELECT longshore.enqueue_sync('s3', 'import', :storage) AS sync \gset
COMMIT;
\echo :sync
