-- Adds one more job to a sync that would close now, if there is work that only its end can do. Both cases are in one
-- statement, because every sync ends with it.
--
-- Export: a delete job, if an annotation was deleted while it ran. Such a
-- deletion added a second delete job, and that job may have run before the annotation's object was written. So an
-- export closes only after a delete job that started after its last object. The job is marked as `late` in its range,
-- which delete jobs do not use. A deletion after it started finds all objects written.
-- The sync's jobs show whether the job is needed; a search for such objects would scan all that was ever exported.
-- Times are not compared: a row has the time at which its transaction started, but others see it only after its end.
-- Rows that were deleted in SQL, without the API, are found by the next sync.
--
-- Import: a job that tries the objects again that the storage refused during this sync. It is added once, so objects
-- that are refused again wait for the next sync.
-- $1 sync
WITH deletion AS (
    INSERT INTO jobs (sync_id, kind, range_after)
    SELECT s.id, 'delete', 'late'
      FROM syncs s JOIN storages st ON st.id = s.storage_id
     WHERE s.id = $1 AND s.finished_at IS NULL AND (coalesce(s.settings, st.settings) ->> 'can_delete_objects')::boolean
       AND (SELECT count(*) FILTER (WHERE kind = 'delete') > 1 AND count(*) = count(finished_at)
                   AND bool_or(kind = 'export') AND NOT bool_or(kind = 'delete' AND range_after IS NOT NULL)
              FROM jobs WHERE sync_id = s.id)
    RETURNING id
), replay AS (
    INSERT INTO jobs (sync_id, kind, is_replay)
    SELECT s.id, 'import', true
      FROM syncs s
     WHERE s.id = $1 AND s.finished_at IS NULL
       AND (SELECT sum(quarantined) > 0 AND count(*) = count(finished_at) AND bool_and(kind = 'import')
                   AND NOT bool_or(is_replay)
              FROM jobs WHERE sync_id = s.id)
       AND EXISTS (SELECT 1 FROM quarantine q
                    WHERE q.storage_id = s.storage_id AND q.sync_id = s.id AND q.state = 'open'
                      AND q.reason IN ('denied', 'refused', 'unavailable')
                      AND left(coalesce(q.etag, ''), 1) <> '!')
    RETURNING id
)
INSERT INTO outbox (job_id) SELECT id FROM deletion UNION ALL SELECT id FROM replay
