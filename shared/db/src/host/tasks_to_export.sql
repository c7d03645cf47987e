-- The annotations of the tasks that are to be written, grouped by task in ascending order of its id.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit in tasks
WITH chosen AS (
    SELECT t.id
      FROM tasks t
      JOIN LATERAL (SELECT max(a.updated_at) AS updated_at FROM annotations a WHERE a.task_id = t.id) last
        ON last.updated_at IS NOT NULL
      LEFT JOIN exports e ON e.storage_id = $2 AND e.unit = 'task' AND e.unit_id = t.id
     WHERE t.project_id = $1 AND t.id > $6 AND t.id <= $7
       AND (cardinality($5::bigint[]) = 0 OR t.id = ANY ($5))
       AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
                ELSE e.unit_id IS NULL OR e.state <> 'exported'
                     OR e.unit_updated_at <> greatest(last.updated_at, t.updated_at) END
     ORDER BY t.id
     LIMIT $8
)
SELECT a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at
  FROM chosen
  JOIN tasks t ON t.id = chosen.id
  JOIN annotations a ON a.task_id = t.id
 ORDER BY t.id, a.id
