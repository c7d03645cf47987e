-- Deletions of the tasks of a storage or a project. Each is a sync without a storage, so that it has jobs, progress and a
-- cancel. Programs of the previous release go on working: they read syncs with their storages, and so do not see it.

ALTER TABLE syncs
    -- Null for a deletion of tasks.
    ALTER COLUMN storage_id DROP NOT NULL,
    -- `longshore_model::Deletion`; null for every other sync.
    ADD COLUMN deletion jsonb,
    -- The storage whose tasks are deleted; null for all tasks of the project. No foreign key: the deletion may also remove
    -- the storage.
    ADD COLUMN deletes_from bigint;
-- One live deletion per project. Also finds the deletions of a project for lists.
CREATE UNIQUE INDEX syncs_live_deletion ON syncs (project_id) WHERE storage_id IS NULL AND finished_at IS NULL;
CREATE INDEX syncs_deletions ON syncs (project_id, id) WHERE storage_id IS NULL;

ALTER TABLE jobs
    -- Whether the job deletes tasks. Its kind is `delete`, which the previous release knows.
    ADD COLUMN deletes_tasks boolean NOT NULL DEFAULT false,
    -- Claims by workers that know the column above.
    ADD COLUMN claims integer NOT NULL DEFAULT 0,
    -- Tasks, annotations, and ledger rows that the job deleted.
    ADD COLUMN deleted_tasks bigint NOT NULL DEFAULT 0,
    ADD COLUMN deleted_annotations bigint NOT NULL DEFAULT 0,
    ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;

-- A worker of the previous release would look for objects of deleted annotations, and complete the job. It finds nothing to
-- claim instead, and the job waits for a worker of this release.
CREATE FUNCTION leave_unknown_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END
$$;
CREATE TRIGGER unknown_job BEFORE UPDATE OF state ON jobs FOR EACH ROW
    WHEN (NEW.deletes_tasks AND NEW.state = 'running' AND NEW.claims = OLD.claims)
    EXECUTE FUNCTION longshore.leave_unknown_job();

-- No import starts while tasks of its storage are deleted: it would import objects whose tasks are deleted next. `enqueue`
-- and the deletion lock the storage first, so one of them sees the other. A trigger, so that it is true for syncs that a
-- program of the previous release enqueues.
CREATE FUNCTION refuse_sync_during_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_deletion bigint;
BEGIN
    SELECT d.id INTO v_deletion
      FROM longshore.syncs d JOIN longshore.storages s ON s.id = NEW.storage_id AND s.direction = 'import'
     WHERE d.storage_id IS NULL AND d.finished_at IS NULL
       AND (d.deletes_from = s.id OR (d.deletes_from IS NULL AND d.project_id = s.project_id))
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Sync % is deleting the tasks of storage %. Wait until it ends, or cancel it.',
            v_deletion, NEW.storage_id USING ERRCODE = 'LS409', HINT = 'deletion_live';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sync_during_deletion BEFORE INSERT ON syncs FOR EACH ROW WHEN (NEW.storage_id IS NOT NULL)
    EXECUTE FUNCTION longshore.refuse_sync_during_deletion();
-- Only triggers call these functions, which needs no right.
REVOKE EXECUTE ON FUNCTION leave_unknown_job(), refuse_sync_during_deletion() FROM PUBLIC;

-- As in V4, but the deletion of an annotation exports nothing else: its sync only deletes objects. Where an object holds a
-- whole task, the sync also writes the task that the options name. A request for an export that finds such a sync adds its
-- own job.
CREATE OR REPLACE FUNCTION enqueue(
    p_storage bigint, p_requested_by text, p_idempotency_key text, p_options jsonb,
    OUT sync_id bigint, OUT created boolean, OUT storage longshore.storages
) LANGUAGE plpgsql AS $$
DECLARE
    v_kinds text[];
BEGIN
    SELECT * INTO storage FROM longshore.storages WHERE id = p_storage FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'storage % does not exist', p_storage USING ERRCODE = 'LS404';
    END IF;
    IF NOT storage.synchronizable THEN
        RAISE EXCEPTION 'Storage % is not synchronizable', p_storage USING ERRCODE = 'LS409';
    END IF;
    v_kinds := CASE WHEN storage.direction = 'import' THEN ARRAY['import']
                    WHEN p_requested_by = 'annotation'
                         AND (p_options IS NULL OR (storage.settings ->> 'export_tasks') IS DISTINCT FROM 'true')
                    THEN ARRAY['delete']
                    ELSE ARRAY['export', 'delete'] END;

    created := false;
    SELECT s.id INTO sync_id FROM longshore.syncs s WHERE s.storage_id = p_storage AND s.idempotency_key = p_idempotency_key;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT s.id INTO sync_id FROM longshore.syncs s WHERE s.storage_id = p_storage AND s.finished_at IS NULL;
    IF FOUND THEN
        IF p_requested_by = 'annotation' OR NOT EXISTS (
            SELECT FROM longshore.syncs s WHERE s.id = enqueue.sync_id AND s.requested_by = 'annotation'
        ) THEN
            RETURN;
        END IF;
        -- The lock keeps the sync from closing before it has the job. If it has just ended, a new one starts below.
        UPDATE longshore.syncs s
           SET requested_by = p_requested_by, idempotency_key = p_idempotency_key, options = coalesce(p_options, '{}')
         WHERE s.id = enqueue.sync_id AND s.finished_at IS NULL;
        created := FOUND;
        v_kinds := CASE WHEN created THEN ARRAY['export'] ELSE v_kinds END;
    END IF;

    IF NOT created THEN
        INSERT INTO longshore.syncs (storage_id, requested_by, idempotency_key, options, storage_version)
        VALUES (p_storage, p_requested_by, p_idempotency_key, coalesce(p_options, '{}'), storage.version)
        RETURNING id INTO sync_id;
    END IF;
    WITH job AS (
        INSERT INTO longshore.jobs (sync_id, kind) SELECT enqueue.sync_id, unnest(v_kinds) RETURNING id
    )
    INSERT INTO longshore.outbox (job_id) SELECT id FROM job;
    UPDATE longshore.storages
       SET status = 'queued', last_sync_job = enqueue.sync_id::text,
           meta = jsonb_build_object('attempts', coalesce((meta ->> 'attempts')::int, 0) + 1, 'time_queued', now()::text)
     WHERE id = p_storage
    RETURNING * INTO storage;
    created := true;
END
$$;
