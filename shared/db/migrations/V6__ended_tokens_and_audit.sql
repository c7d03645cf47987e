-- Tokens that end: a revoked one never works again, and others may expire. The audit also records syncs that were
-- started by SQL or AMQP, and who did something from where.
-- Programs of the previous release go on working: they name the columns they use, and every new one has a default.

ALTER TABLE api_tokens
    -- When it stops working; null is never.
    ADD COLUMN expires_at timestamptz;

-- The digests of tokens that were deleted or replaced, forever: a few hundred bytes each.
CREATE TABLE revoked_tokens (
    -- SHA-256 of the token.
    digest     bytea PRIMARY KEY,
    token_id   bigint NOT NULL,
    name       text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now()
);

-- Triggers, so that a deletion by a scheduler of the previous release or by hand is remembered too. They run with the
-- rights of the schema's owner, so that a role that may delete tokens needs no right to write this table.
CREATE FUNCTION remember_revoked_token() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO longshore.revoked_tokens (digest, token_id, name) VALUES (OLD.digest, OLD.id, OLD.name)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER token_deleted AFTER DELETE ON api_tokens FOR EACH ROW
    EXECUTE FUNCTION longshore.remember_revoked_token();
CREATE TRIGGER token_replaced AFTER UPDATE OF digest ON api_tokens FOR EACH ROW
    WHEN (OLD.digest IS DISTINCT FROM NEW.digest) EXECUTE FUNCTION longshore.remember_revoked_token();

CREATE FUNCTION refuse_revoked_token() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM longshore.revoked_tokens r WHERE r.digest = NEW.digest) THEN
        RAISE EXCEPTION 'this token was revoked' USING ERRCODE = 'LS410', HINT = 'Use another token.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER token_revoked BEFORE INSERT OR UPDATE OF digest ON api_tokens FOR EACH ROW
    EXECUTE FUNCTION longshore.refuse_revoked_token();

ALTER TABLE audit
    ADD COLUMN token_id bigint,
    -- Where the change came from: a caller of the API, SQL, a message, or the scheduler itself.
    ADD COLUMN source text NOT NULL DEFAULT 'api' CHECK (source IN ('api', 'sql', 'amqp', 'scheduler')),
    -- The role of the database or the user of the broker, where there is no token.
    ADD COLUMN actor text,
    -- The caller's address; null if unknown.
    ADD COLUMN address text;
UPDATE audit SET source = 'scheduler' WHERE token IS NULL;

-- A trigger, so that every function that starts a sync for a host has it. It runs with the rights of the schema's
-- owner: hosts need no right to write the audit.
CREATE FUNCTION audit_sql_sync() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO longshore.audit (source, actor, address, action, project_id, storage_id, sync_id)
    SELECT 'sql', session_user::text, host(inet_client_addr()), 'sync.start', s.project_id, s.id, NEW.id
      FROM longshore.storages s WHERE s.id = NEW.storage_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER sql_sync AFTER INSERT ON syncs FOR EACH ROW WHEN (NEW.requested_by = 'sql')
    EXECUTE FUNCTION longshore.audit_sql_sync();
-- Only triggers call these functions, which needs no right.
REVOKE EXECUTE ON FUNCTION remember_revoked_token(), refuse_revoked_token(), audit_sql_sync() FROM PUBLIC;
