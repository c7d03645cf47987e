-- The next tasks of a project in ascending order of their ids (`walked`): a row for each annotation of those that
-- are to be written, and one row of nulls for each of the others.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id AS walked,
       a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at
  FROM (SELECT id FROM tasks
         WHERE project_id = $1 AND id > $6 AND id <= $7 AND (cardinality($5::bigint[]) = 0 OR id = ANY ($5))
         ORDER BY id LIMIT $8) page
 CROSS JOIN LATERAL (SELECT max(updated_at) AS updated_at FROM annotations WHERE task_id = page.id) last
  -- The limit keeps it a look-up by key, however the table has grown since it was last analyzed.
  LEFT JOIN LATERAL (SELECT * FROM exports WHERE storage_id = $2 AND unit = 'task' AND unit_id = page.id LIMIT 1) e
    ON true
  LEFT JOIN tasks t ON t.id = page.id AND last.updated_at IS NOT NULL
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported'
                 OR e.unit_updated_at <> greatest(last.updated_at, t.updated_at) END
  LEFT JOIN annotations a ON a.task_id = t.id
 ORDER BY page.id, a.id
