-- One more delete job for an export that would close now, if an annotation was deleted while it ran (which added a
-- delete job to the first one) and no delete job began after the last object was written. Read off the sync's own
-- jobs: to look for such objects would take a scan of all that was ever exported.
-- $1 sync
WITH job AS (
    INSERT INTO jobs (sync_id, kind)
    SELECT s.id, 'delete'
      FROM syncs s JOIN storages st ON st.id = s.storage_id
     WHERE s.id = $1 AND s.finished_at IS NULL AND (st.settings ->> 'can_delete_objects')::boolean
       AND (SELECT count(*) FILTER (WHERE kind = 'delete') > 1 AND count(*) = count(finished_at)
                   AND max(started_at) FILTER (WHERE kind = 'delete') <= max(finished_at) FILTER (WHERE kind = 'export')
              FROM jobs WHERE sync_id = s.id)
    RETURNING id
)
INSERT INTO outbox (job_id) SELECT id FROM job
