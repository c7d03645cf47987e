-- Checks what a host stores with a sync. Options of another form stopped the reporter of all projects, and large ones were
-- read by it every second. As in V4 otherwise, with the rights of V7, and `OR REPLACE` keeps who may execute it.
-- Programs of the previous release go on working: they do not call this function.

CREATE OR REPLACE FUNCTION longshore.enqueue_sync(
    p_kind text, p_direction text, p_storage bigint,
    p_idempotency_key text DEFAULT NULL, p_options jsonb DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sync bigint;
    v_created boolean;
    v_fault text;
BEGIN
    PERFORM 1 FROM longshore.storages WHERE id = p_storage AND kind = p_kind AND direction = p_direction;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no % % storage with id %', p_kind, p_direction, p_storage
            USING ERRCODE = 'LS404', HINT = 'Call enqueue_sync(kind, direction, storage id) as GET /api/storages shows them.';
    END IF;
    -- `longshore_model::MAX_IDEMPOTENCY_KEY`.
    IF octet_length(p_idempotency_key) > 255 THEN
        RAISE EXCEPTION 'the idempotency key has more than 255 bytes'
            USING ERRCODE = '22023', HINT = 'Use a shorter one, such as a name and a date.';
    END IF;
    -- What `longshore_model::ExportOptions` reads. Each test is null without options or without the key, which is no fault.
    -- A key of another name is one: with a misspelled `tasks`, all annotations would be exported.
    IF jsonb_typeof(p_options) <> 'object' THEN
        v_fault := 'are not an object';
    ELSIF EXISTS (SELECT FROM jsonb_object_keys(p_options) AS t (name) WHERE name NOT IN ('mode', 'tasks')) THEN
        v_fault := 'have another key than mode and tasks';
    ELSIF (p_options -> 'mode') NOT IN ('"changed"', '"all"') THEN
        v_fault := 'have another mode than changed and all';
    ELSIF jsonb_typeof(p_options -> 'tasks') <> 'array' THEN
        v_fault := 'have tasks that are not a list';
    -- `longshore_model::MAX_EXPORT_TASKS`.
    ELSIF jsonb_array_length(p_options -> 'tasks') > 100000 THEN
        v_fault := 'have more than 100,000 tasks';
    -- By value: 1e100000 as text would take 100 kB.
    ELSIF EXISTS (
        SELECT FROM jsonb_array_elements(p_options -> 'tasks') AS t (id)
         WHERE CASE WHEN jsonb_typeof(id) = 'number'
                    THEN scale(id::numeric) > 0 OR id::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807
                    ELSE true END
    ) THEN
        v_fault := 'have tasks that are not IDs';
    END IF;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'the options of a sync %', v_fault USING ERRCODE = '22023',
            HINT = 'Send none, or options such as {"mode": "all", "tasks": [1, 2]} with up to 100,000 task IDs.';
    END IF;

    SELECT e.sync_id, e.created INTO v_sync, v_created
      FROM longshore.enqueue(p_storage, 'sql', p_idempotency_key, p_options) e;
    IF v_created THEN
        PERFORM pg_notify('longshore_outbox', '');
    END IF;
    RETURN v_sync;
END
$$;
