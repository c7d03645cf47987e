-- One more delete job for an export that would close now, if an annotation was deleted while it ran (which added a
-- delete job to the first one): those jobs may have come before the object. The last one is marked by its range, of
-- which delete jobs make no use; whatever is deleted after it began finds all objects written. No times are compared,
-- for those of the rows are of a transaction's start, and others see what it wrote only after its end. Read off the
-- sync's own jobs: to look for such objects would take a scan of all that was ever exported.
-- $1 sync
WITH job AS (
    INSERT INTO jobs (sync_id, kind, range_after)
    SELECT s.id, 'delete', 'late'
      FROM syncs s JOIN storages st ON st.id = s.storage_id
     WHERE s.id = $1 AND s.finished_at IS NULL AND (coalesce(s.settings, st.settings) ->> 'can_delete_objects')::boolean
       AND (SELECT count(*) FILTER (WHERE kind = 'delete') > 1 AND count(*) = count(finished_at)
                   AND bool_or(kind = 'export') AND NOT bool_or(kind = 'delete' AND range_after IS NOT NULL)
              FROM jobs WHERE sync_id = s.id)
    RETURNING id
)
INSERT INTO outbox (job_id) SELECT id FROM job
