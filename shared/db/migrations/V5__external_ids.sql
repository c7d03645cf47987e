-- The external ID with which Longshore assumes roles for a project: the owner of a role lets in only whoever sends it.
-- Unguessable, and never chosen by a user, so no project can use the role of another.
-- Programs of the previous release go on working: they name the columns they use, and send the IDs that storages have.

ALTER TABLE projects
    ADD COLUMN external_id text NOT NULL UNIQUE DEFAULT 'longshore-' || gen_random_uuid()::text;
