-- The next annotations of a project, a row each in ascending order of their ids (`walked`); the columns of those
-- that need no writing are null, so that a page is as much work whether much or nothing has changed.
-- Each row of the page is looked up by its key: the limits leave the planner no other way. A plain join may read all of
-- a table that has grown since it was last analyzed, for every page, and sort it.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id AS walked,
       a.id, a.task_id, a.project_id, a.result, a.was_cancelled, a.ground_truth, a.lead_time, a.completed_by,
       a.created_at, a.updated_at,
       t.data AS task_data, t.meta AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at
  -- Arrays, so that the plan of the one does not depend on what the rest of the statement expects of it. Pairs in the
  -- order of the index by project, and a limit that the planner cannot see: where it expects fewer rows than that, or
  -- takes another index, it reads and sorts all of the project.
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
  -- Ended its workers, and has not changed since: left out until a user asks for it.
  LEFT JOIN LATERAL (SELECT updated_at FROM quarantine
                      WHERE storage_id = $2 AND unit_id = page.id AND reason = 'poison' AND state <> 'replay' LIMIT 1) poison
    ON true
  LEFT JOIN LATERAL (SELECT * FROM annotations WHERE id = page.id LIMIT 1) a
    ON (poison.updated_at IS NULL OR a.updated_at > poison.updated_at)
   -- Written by this very sync before a crash: not again.
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported' OR e.unit_updated_at <> a.updated_at END
  LEFT JOIN LATERAL (SELECT * FROM tasks WHERE id = a.task_id LIMIT 1) t ON true
 ORDER BY page.id
