-- One more delete job for a sync that would close now, if it wrote an object whose annotation or task went meanwhile.
-- $1 sync
WITH job AS (
    INSERT INTO jobs (sync_id, kind)
    SELECT s.id, 'delete'
      FROM syncs s JOIN storages st ON st.id = s.storage_id
     WHERE s.id = $1 AND s.finished_at IS NULL AND (st.settings ->> 'can_delete_objects')::boolean
       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sync_id = s.id AND j.finished_at IS NULL)
       AND EXISTS (
           SELECT 1 FROM exports e
            WHERE e.storage_id = s.storage_id AND e.sync_id = s.id AND e.state = 'exported'
              AND CASE e.unit WHEN 'annotation' THEN NOT EXISTS (SELECT 1 FROM annotations a WHERE a.id = e.unit_id)
                              ELSE NOT EXISTS (SELECT 1 FROM annotations a WHERE a.task_id = e.unit_id) END)
    RETURNING id
)
INSERT INTO outbox (job_id) SELECT id FROM job
