-- What follows from an import into Label Studio: the overlap cohort of its project, webhooks, and exports of annotations
-- that came with tasks. Programs of the previous release go on working: they import without these effects.

ALTER TABLE syncs
    -- Whether effects follow the end of the sync. They precede the report of the end, so users see its results at once.
    ADD COLUMN effects_due boolean NOT NULL DEFAULT false,
    -- Whether exports of annotations that the sync imported are not enqueued yet.
    ADD COLUMN exports_due boolean NOT NULL DEFAULT false;
CREATE INDEX syncs_with_due_effects ON syncs (id) WHERE effects_due AND finished_at IS NOT NULL;
CREATE INDEX syncs_with_due_exports ON syncs (id) WHERE exports_due;

-- Tasks that a page of an import made, until they are part of deliveries to webhooks.
CREATE TABLE host_created_tasks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sync_id     bigint NOT NULL,
    project_id  bigint NOT NULL,
    -- Runs of task IDs: the nth run is from the nth first ID to the nth last ID.
    first_ids   integer[] NOT NULL,
    last_ids    integer[] NOT NULL,
    tasks       integer NOT NULL,
    -- Annotations that came with the tasks.
    annotations bigint NOT NULL
);
CREATE INDEX host_created_tasks_by_sync ON host_created_tasks (sync_id, id);

-- What is still to be sent to webhooks of Label Studio. A scheduler deletes a row once the webhook confirmed its tasks.
CREATE TABLE webhook_deliveries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- ID of the webhook in Label Studio.
    webhook_id  bigint NOT NULL,
    sync_id     bigint NOT NULL,
    project_id  bigint NOT NULL,
    first_ids   integer[] NOT NULL,
    last_ids    integer[] NOT NULL,
    -- The webhook confirmed all tasks up to this ID.
    sent_until  integer NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now()
);
-- A webhook gets its deliveries in this order.
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id);

-- Label Studio writes back a summary that it read some time before, and so may undo what was added meanwhile. Each summary
-- is compared with its tasks a few times after the last addition.
ALTER TABLE host_projects
    ADD COLUMN summary_due_at timestamptz,
    ADD COLUMN summary_checks integer NOT NULL DEFAULT 0,
    -- Whether the last comparison missed something. Label Studio may still be about to add it.
    ADD COLUMN is_suspect boolean NOT NULL DEFAULT false;
CREATE INDEX host_projects_due ON host_projects (summary_due_at) WHERE summary_due_at IS NOT NULL;
