-- A few rows of another storage and project, with IDs below those of all later rows. The statistics then include none of
-- the values in the explained statements.
INSERT INTO tasks (id, project_id, data, storage_id, storage_key)
SELECT -n, 999, '{}', 999, 'early/' || n FROM generate_series(1, 5) n;
INSERT INTO objects (storage_id, key, row_index, task_id, size, sync_id)
SELECT 999, 'early/' || n, 0, -n, 1, 999 FROM generate_series(1, 5) n;
INSERT INTO annotations (id, task_id, project_id) SELECT -n, -n, 999 FROM generate_series(1, 5) n;
INSERT INTO predictions (id, task_id, project_id) SELECT -n, -n, 999 FROM generate_series(1, 5) n;
INSERT INTO exports (storage_id, unit, unit_id, key, digest, unit_updated_at, sync_id)
SELECT 999, 'annotation', -n, n::text, '\x00', now(), 999 FROM generate_series(1, 5) n;
INSERT INTO quarantine (id, storage_id, sync_id, key, reason, detail)
SELECT -n, 999, 999, 'early/bad/' || n, 'invalid_json', 'not JSON' FROM generate_series(1, 5) n;
