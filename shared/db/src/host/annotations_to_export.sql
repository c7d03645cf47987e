-- One row an annotation that is to be written, in ascending order of its id.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at
  FROM annotations a
  JOIN tasks t ON t.id = a.task_id
  LEFT JOIN exports e ON e.storage_id = $2 AND e.unit = 'annotation' AND e.unit_id = a.id
 WHERE a.project_id = $1 AND a.id > $6 AND a.id <= $7
   AND (cardinality($5::bigint[]) = 0 OR a.task_id = ANY ($5))
   -- Written by this very sync before a crash: not again.
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported' OR e.unit_updated_at <> a.updated_at END
 ORDER BY a.id
 LIMIT $8
