-- The rows of a job that tries refused objects again, by key. A migration of its own, because the index may take minutes
-- on a large quarantine: until then only writes to the quarantine wait, and no job. The words are those of
-- `longshore_db::quarantine::refused`. A fault that the listing shows has `!` in front of its etag; there is nothing to
-- read again.
CREATE INDEX quarantine_refused ON quarantine (storage_id, key)
    WHERE state = 'open' AND reason IN ('denied', 'refused', 'unavailable') AND left(coalesce(etag, ''), 1) <> '!';
