-- Copies a storage's settings into its live sync when they change, instead of into every sync at its start. Settings
-- rarely change during a sync, and each update of a sync's row wrote the copy again.
-- Programs of the previous release go on working: the trigger acts on their changes too.

CREATE OR REPLACE FUNCTION raise_storage_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A storage has at most one live sync, and `enqueue` locks the storage first, so none can start meanwhile. A sync
    -- that has a copy keeps it: the settings of its start are the oldest.
    UPDATE longshore.syncs
       SET project_id = OLD.project_id, settings = OLD.settings, server = OLD.server
     WHERE storage_id = OLD.id AND finished_at IS NULL AND settings IS NULL;
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
DROP TRIGGER storage_version ON storages;
CREATE TRIGGER storage_version BEFORE UPDATE OF settings, project_id, server ON storages FOR EACH ROW
    WHEN (OLD.settings IS DISTINCT FROM NEW.settings OR OLD.project_id IS DISTINCT FROM NEW.project_id
          OR OLD.server IS DISTINCT FROM NEW.server)
    EXECUTE FUNCTION longshore.raise_storage_version();

-- As in V2, without a copy of the settings, and without `NOTIFY`, which would make all callers commit one after the
-- other: the scheduler wakes the relay once it has committed. One of the previous release does not: until it is
-- replaced, its syncs wait up to a second for the relay's timer.
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

    created := false;
    SELECT s.id INTO sync_id FROM longshore.syncs s WHERE s.storage_id = p_storage AND s.idempotency_key = p_idempotency_key;
    IF NOT FOUND THEN
        SELECT s.id INTO sync_id FROM longshore.syncs s WHERE s.storage_id = p_storage AND s.finished_at IS NULL;
    END IF;
    IF FOUND THEN
        RETURN;
    END IF;

    INSERT INTO longshore.syncs (storage_id, requested_by, idempotency_key, options, storage_version)
    VALUES (p_storage, p_requested_by, p_idempotency_key, coalesce(p_options, '{}'), storage.version)
    RETURNING id INTO sync_id;
    v_kinds := CASE storage.direction WHEN 'import' THEN ARRAY['import'] ELSE ARRAY['export', 'delete'] END;
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

-- As in V1. A host commits by itself, so nothing but its own transaction can wake the relay.
CREATE OR REPLACE FUNCTION enqueue_sync(
    p_kind text, p_direction text, p_storage bigint,
    p_idempotency_key text DEFAULT NULL, p_options jsonb DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_sync bigint;
    v_created boolean;
BEGIN
    PERFORM 1 FROM longshore.storages WHERE id = p_storage AND kind = p_kind AND direction = p_direction;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no % % storage with id %', p_kind, p_direction, p_storage
            USING ERRCODE = 'LS404', HINT = 'Call enqueue_sync(kind, direction, storage id) as GET /api/storages shows them.';
    END IF;
    SELECT e.sync_id, e.created INTO v_sync, v_created
      FROM longshore.enqueue(p_storage, 'sql', p_idempotency_key, p_options) e;
    IF v_created THEN
        PERFORM pg_notify('longshore_outbox', '');
    END IF;
    RETURN v_sync;
END
$$;
