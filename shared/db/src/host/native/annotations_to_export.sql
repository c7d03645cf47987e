-- The next annotations of a project, one row per annotation, in ascending order of their IDs (`walked`). An annotation
-- that needs no write has null in the other columns, so a page takes the same work whether much or little has changed.
-- The limits force a look-up by key for each row of the page. For a plain join, Postgres may read and sort a whole
-- table that has grown since its last analyze, for every page.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id AS walked,
       a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at, a.updated_at AS unit_updated_at,
       -- Only Label Studio has these.
       NULL::jsonb AS annotation_details, NULL::jsonb AS task_details
  -- Arrays, so that the plan of this part does not depend on the rest of the statement. The pairs match the index by
  -- project, and a subquery hides the limit from the planner: if it expected fewer rows than the limit, or chose
  -- another index, it would read and sort all rows of the project.
  FROM (SELECT id FROM unnest(
            CASE WHEN cardinality($5::bigint[]) = 0
                 THEN ARRAY(SELECT id FROM annotations
                             WHERE (project_id, id) > ($1::bigint, $6::bigint) AND (project_id, id) <= ($1, $7::bigint)
                             ORDER BY project_id, id LIMIT (SELECT $8::bigint))
                 ELSE ARRAY(SELECT own.id FROM (SELECT DISTINCT unnest($5)) AS chosen (task_id)
                    CROSS JOIN LATERAL (SELECT id, project_id FROM annotations WHERE task_id = chosen.task_id OFFSET 0) own
                    WHERE own.project_id = $1 AND own.id > $6 AND own.id <= $7
                    ORDER BY own.id LIMIT $8) END) AS found (id)
         ORDER BY id) page
  LEFT JOIN LATERAL (SELECT * FROM exports WHERE storage_id = $2 AND unit = 'annotation' AND unit_id = page.id LIMIT 1) e
    ON true
  -- Skip poison (units that ended their workers) until it changes or a user replays it.
  LEFT JOIN LATERAL (SELECT updated_at FROM quarantine
                      WHERE storage_id = $2 AND unit_id = page.id AND reason = 'poison' AND state <> 'replay' LIMIT 1) poison
    ON true
  LEFT JOIN LATERAL (SELECT * FROM annotations WHERE id = page.id LIMIT 1) a
    ON (poison.updated_at IS NULL OR a.updated_at > poison.updated_at)
   -- Skip what this sync has written before a crash.
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported' OR e.unit_updated_at <> a.updated_at END
  LEFT JOIN LATERAL (SELECT * FROM tasks WHERE id = a.task_id LIMIT 1) t ON true
 ORDER BY page.id
