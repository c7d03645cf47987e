-- Storages and projects of a host with tables of its own. Programs of the previous release go on working: they have no
-- such host, and every new column may be null.

ALTER TABLE storages
    -- ID of the storage in the host's tables, where each kind and direction counts for itself. Null with the native host,
    -- whose storages are these rows; otherwise the row is only a handle, without secrets.
    ADD COLUMN host_id bigint;
CREATE UNIQUE INDEX storages_by_host ON storages (kind, direction, host_id) WHERE host_id IS NOT NULL;

ALTER TABLE syncs
    -- ID of the host's user who requested the sync. Null if no user of the host did.
    ADD COLUMN host_user_id bigint;

-- The next number of a task within its project of Label Studio. Workers take numbers in advance, each statement for a
-- chunk of tasks, so that no page waits for the commit of another.
CREATE TABLE host_projects (
    project_id    bigint PRIMARY KEY,
    next_inner_id bigint NOT NULL
);

-- What pages added to the summary of a project of Label Studio, until a scheduler adds it there.
CREATE TABLE host_deltas (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id bigint NOT NULL,
    delta      jsonb NOT NULL
);
CREATE INDEX host_deltas_by_project ON host_deltas (project_id, id);
