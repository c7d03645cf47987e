-- The next tasks of a project, in ascending order of their IDs (`walked`): one row per annotation of a task to write,
-- and one row of nulls for a task that needs no write. Each is looked up by its key, see `annotations_to_export.sql`.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id AS walked,
       a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at, greatest(last.updated_at, t.updated_at) AS unit_updated_at,
       -- Only Label Studio has these.
       NULL::jsonb AS annotation_details, NULL::jsonb AS task_details
  FROM (SELECT id FROM unnest(
            CASE WHEN cardinality($5::bigint[]) = 0
                 THEN ARRAY(SELECT id FROM tasks
                             WHERE (project_id, id) > ($1::bigint, $6::bigint) AND (project_id, id) <= ($1, $7::bigint)
                             ORDER BY project_id, id LIMIT (SELECT $8::bigint))
                 ELSE ARRAY(SELECT own.id FROM (SELECT DISTINCT unnest($5)) AS chosen (id)
                    CROSS JOIN LATERAL (SELECT id, project_id FROM tasks WHERE id = chosen.id LIMIT 1) own
                    WHERE chosen.id > $6 AND chosen.id <= $7 AND own.project_id = $1
                    ORDER BY own.id LIMIT $8) END) AS found (id)
         ORDER BY id) page
 CROSS JOIN LATERAL (SELECT max(updated_at) AS updated_at FROM annotations WHERE task_id = page.id) last
  LEFT JOIN LATERAL (SELECT * FROM exports WHERE storage_id = $2 AND unit = 'task' AND unit_id = page.id LIMIT 1) e
    ON true
  -- Skip poison (units that ended their workers) until it changes or a user replays it.
  LEFT JOIN LATERAL (SELECT updated_at FROM quarantine
                      WHERE storage_id = $2 AND unit_id = page.id AND reason = 'poison' AND state <> 'replay' LIMIT 1) poison
    ON true
  LEFT JOIN LATERAL (SELECT * FROM tasks WHERE id = page.id LIMIT 1) t
    ON last.updated_at IS NOT NULL
   AND (poison.updated_at IS NULL OR greatest(last.updated_at, t.updated_at) > poison.updated_at)
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported'
                 OR e.unit_updated_at <> greatest(last.updated_at, t.updated_at) END
  -- `OFFSET 0` forces a look-up by task, like the limits.
  LEFT JOIN LATERAL (SELECT * FROM annotations WHERE task_id = t.id OFFSET 0) a ON true
 ORDER BY page.id, a.id
