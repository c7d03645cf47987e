-- The next annotations of a project, a row each in ascending order of their ids (`walked`); the columns of those
-- that need no writing are null, so that a page is as much work whether much or nothing has changed.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id AS walked,
       a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at
  FROM (SELECT id FROM annotations
         WHERE project_id = $1 AND id > $6 AND id <= $7 AND (cardinality($5::bigint[]) = 0 OR task_id = ANY ($5))
         ORDER BY id LIMIT $8) page
  -- The limit keeps it a look-up by key. As a plain join it would read all of a table that has grown since
  -- it was last analyzed, for every page.
  LEFT JOIN LATERAL (SELECT * FROM exports WHERE storage_id = $2 AND unit = 'annotation' AND unit_id = page.id LIMIT 1) e
    ON true
  LEFT JOIN annotations a ON a.id = page.id
   -- Written by this very sync before a crash: not again.
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported' OR e.unit_updated_at <> a.updated_at END
  LEFT JOIN tasks t ON t.id = a.task_id
 ORDER BY page.id
