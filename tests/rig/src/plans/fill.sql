-- A database after long use: {rows} tasks and ledger rows, most of them of one giant storage, a tenth as many
-- annotations, exports, jobs and syncs, a hundredth as many quarantined objects. {settings} is an S3 connection.
SET synchronous_commit = off;
INSERT INTO projects (title) VALUES ('giant'), ('small ones');
INSERT INTO storages (project_id, kind, direction, settings)
SELECT CASE WHEN n IN (1, 11) THEN 1 ELSE 2 END, 's3', CASE WHEN n > 10 THEN 'export' ELSE 'import' END, '{settings}'
  FROM generate_series(1, 20) n;
-- Eight of ten rows belong to storage 1, in the order of their keys.
INSERT INTO tasks (project_id, data, storage_id, storage_key)
SELECT CASE WHEN n % 10 < 8 THEN 1 ELSE 2 END, jsonb_build_object('image', 's3://photos/' || key),
       CASE WHEN n % 10 < 8 THEN 1 ELSE 2 + n % 9 END, key
  FROM (SELECT n, 'images/' || lpad(n::text, 10, '0') || '.jpg' AS key FROM generate_series(1, {rows}) n) numbered;
INSERT INTO objects (storage_id, key, row_index, task_id, etag, size, modified_at, sync_id)
SELECT storage_id, storage_key, 0, id, md5(id::text), 1000, now(), 1 FROM tasks WHERE id > 0;
INSERT INTO annotations (task_id, project_id, result) SELECT id, project_id, '[{"type": "choices"}]' FROM tasks WHERE id % 10 = 1;
INSERT INTO predictions (task_id, project_id, result) SELECT id, project_id, '[]' FROM tasks WHERE id % 100 = 1;
INSERT INTO exports (storage_id, unit, unit_id, key, digest, unit_updated_at, sync_id)
SELECT 11, 'annotation', id, id::text, sha256(id::text::bytea), updated_at, 1 + id % 100 FROM annotations WHERE id > 0;
-- Ended syncs of the last months with two jobs each, and a hundred live syncs.
INSERT INTO syncs (storage_id, status, requested_by, created_at, started_at, finished_at, reported_at)
SELECT 1 + n % 20, CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'completed' END, 'api', at, at, at, at
  FROM (SELECT n, now() - interval '80 days' + n * interval '80 days' / ({rows} / 10) AS at
          FROM generate_series(1, {rows} / 10) n) numbered;
INSERT INTO jobs (sync_id, kind, state, attempt, finished_at, due_at, listed, matched, created)
SELECT s.id, 'import', 'completed', 1, s.finished_at, s.created_at, 100, 100, 100 FROM syncs s, generate_series(1, 2);
INSERT INTO storages (project_id, kind, direction, settings)
SELECT 2, 's3', 'import', '{settings}' FROM generate_series(1, 100);
INSERT INTO syncs (storage_id, status, requested_by) SELECT id, 'in_progress', 'api' FROM storages WHERE id > 20;
INSERT INTO jobs (sync_id, kind) SELECT id, 'import' FROM syncs WHERE finished_at IS NULL;
INSERT INTO outbox (job_id) SELECT id FROM jobs WHERE finished_at IS NULL;
INSERT INTO quarantine (storage_id, sync_id, key, reason, detail)
SELECT 1 + n % 10, 1 + n % 100, 'broken/' || lpad(n::text, 10, '0') || '.json', 'invalid_json', 'not JSON'
  FROM generate_series(1, {rows} / 100) n;
INSERT INTO api_tokens (name, digest, role) SELECT n::text, sha256(n::text::bytea), 'read' FROM generate_series(1, 50) n
