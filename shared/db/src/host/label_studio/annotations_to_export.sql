-- As `native/annotations_to_export.sql`, from Label Studio's tables. Its objects hold values of the task, so an
-- annotation counts as changed with its task.
-- $1 project, $2 storage, $3 sync, $4 write all, $5 only these tasks (empty: any), $6 after, $7 until, $8 limit
SELECT page.id::bigint AS walked,
       a.id::bigint AS id, a.task_id::bigint AS task_id, a.project_id::bigint AS project_id,
       coalesce(a.result, 'null') AS result, a.was_cancelled, a.ground_truth, a.lead_time,
       a.completed_by_id::bigint AS completed_by, a.created_at, a.updated_at,
       -- Label Studio names the data of blob tasks only when it shows them: by the first name in the label config.
       CASE WHEN t.data ? '$undefined$' AND config.name IS NOT NULL
            THEN (t.data - '$undefined$') || jsonb_build_object(config.name, t.data -> '$undefined$')
            ELSE t.data END AS task_data,
       coalesce(t.meta, 'null') AS task_meta, t.total_annotations, t.cancelled_annotations, t.total_predictions,
       t.created_at AS task_created_at, t.updated_at AS task_updated_at,
       greatest(a.updated_at, t.updated_at) AS unit_updated_at,
       CASE WHEN a.id IS NOT NULL THEN (to_jsonb(a) - 'result') || jsonb_build_object('user', to_jsonb(u)) END
           AS annotation_details,
       CASE WHEN t.id IS NOT NULL THEN (to_jsonb(t) - 'data' - 'meta') || jsonb_build_object(
           'comment_authors', ARRAY(SELECT c.user_id FROM public.task_comment_authors c WHERE c.task_id = t.id
                                     ORDER BY c.user_id OFFSET 0)) END AS task_details
  FROM (SELECT id FROM unnest(
            CASE WHEN cardinality($5::bigint[]) = 0
                 THEN ARRAY(SELECT id FROM public.task_completion
                             WHERE (project_id, id) > ($1::bigint, $6::bigint) AND (project_id, id) <= ($1, $7::bigint)
                             ORDER BY project_id, id LIMIT (SELECT $8::bigint))
                 ELSE ARRAY(SELECT own.id FROM (SELECT DISTINCT unnest($5)) AS chosen (task_id)
                    CROSS JOIN LATERAL (SELECT id, project_id FROM public.task_completion
                                         WHERE task_id = chosen.task_id OFFSET 0) own
                    WHERE own.project_id = $1 AND own.id > $6 AND own.id <= $7
                    ORDER BY own.id LIMIT $8) END) AS found (id)
         ORDER BY id) page
 CROSS JOIN (SELECT (SELECT name FROM public.project p, jsonb_object_keys(
                            CASE jsonb_typeof(p.data_types) WHEN 'object' THEN p.data_types ELSE '{}' END) AS keys (name)
                      WHERE p.id = $1 LIMIT 1) AS name) config
  LEFT JOIN LATERAL (SELECT * FROM exports WHERE storage_id = $2 AND unit = 'annotation' AND unit_id = page.id LIMIT 1) e
    ON true
  -- Skip poison (units that ended their workers) until it changes or a user replays it.
  LEFT JOIN LATERAL (SELECT updated_at FROM quarantine
                      WHERE storage_id = $2 AND unit_id = page.id AND reason = 'poison' AND state <> 'replay' LIMIT 1) poison
    ON true
  LEFT JOIN LATERAL (SELECT c.*, t.updated_at AS task_updated_at
                       FROM public.task_completion c JOIN public.task t ON t.id = c.task_id
                      WHERE c.id = page.id LIMIT 1) a
    ON (poison.updated_at IS NULL OR greatest(a.updated_at, a.task_updated_at) > poison.updated_at)
   -- Skip what this sync has written before a crash.
   AND CASE WHEN $4 THEN e.sync_id IS DISTINCT FROM $3
            ELSE e.unit_id IS NULL OR e.state <> 'exported'
                 OR e.unit_updated_at <> greatest(a.updated_at, a.task_updated_at) END
  LEFT JOIN LATERAL (SELECT * FROM public.task WHERE id = a.task_id LIMIT 1) t ON true
  LEFT JOIN LATERAL (SELECT first_name, last_name, email FROM public.htx_user WHERE id = a.completed_by_id LIMIT 1) u
    ON true
 ORDER BY page.id
