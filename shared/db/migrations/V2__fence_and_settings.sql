-- The fence that survives a failover, the settings of a running sync, and jobs that end their worker.
-- Programs of the previous release go on working: they name the columns they use, and every new one has a default.

ALTER TABLE storages
    -- Raised by every change of what a sync depends on.
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    -- SHA-256 of the server and account that the secrets belong to; null in a storage from before this migration.
    ADD COLUMN server bytea;

CREATE FUNCTION raise_storage_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER storage_version BEFORE UPDATE OF settings, project_id ON storages FOR EACH ROW
    WHEN (OLD.settings IS DISTINCT FROM NEW.settings OR OLD.project_id IS DISTINCT FROM NEW.project_id)
    EXECUTE FUNCTION longshore.raise_storage_version();

-- The storage as it was when the sync was enqueued. Null in a sync from before this migration, which uses the
-- storage as it is.
ALTER TABLE syncs
    ADD COLUMN storage_version bigint,
    ADD COLUMN project_id bigint,
    ADD COLUMN settings jsonb,
    ADD COLUMN server bytea;

ALTER TABLE jobs
    -- Made by the database for each claim, and kept until the next: `attempt` alone does not survive a database
    -- that loses commits and then hands out the same number again. Null until a worker of this release claims it.
    ADD COLUMN token uuid,
    -- The worker process that made the claim. A claim whose answer was lost is found by it.
    ADD COLUMN process uuid,
    -- Pages committed under a token, over all attempts.
    ADD COLUMN commits bigint NOT NULL DEFAULT 0,
    -- Leases in a row that ended without a committed page and without a word from the worker.
    ADD COLUMN losses integer NOT NULL DEFAULT 0,
    -- Keys after the cursor among which one ended the worker; null is no suspicion. A job with a suspicion runs
    -- alone in its worker, with pages of half of these keys.
    ADD COLUMN suspects integer,
    -- Losses of a page that held a single key.
    ADD COLUMN lost_alone integer NOT NULL DEFAULT 0,
    -- Messages sent again since the last claim.
    ADD COLUMN resends integer NOT NULL DEFAULT 0;

-- As in V1, and the sync keeps the storage's settings.
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

    INSERT INTO longshore.syncs (storage_id, requested_by, idempotency_key, options, storage_version, project_id, settings,
                                 server)
    VALUES (p_storage, p_requested_by, p_idempotency_key, coalesce(p_options, '{}'),
            storage.version, storage.project_id, storage.settings, storage.server)
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
    PERFORM pg_notify('longshore_outbox', '');
    created := true;
END
$$;
