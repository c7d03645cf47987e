-- How many keys each rule skipped, and what is left out of tasks. Programs of the previous release go on working: they name
-- the columns they use, and every new one has a default.

ALTER TABLE jobs
    -- Import: keys that were listed and not imported, by rule. `depth` counts folders, which were not listed.
    ADD COLUMN skipped_folder bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_hadoop bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_desktop bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_export bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_depth bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_prefix bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_regex bigint NOT NULL DEFAULT 0;

-- What an import left out of the tasks it made, by code: such as the annotator that a file names by an e-mail address. A
-- row for each job, so that jobs do not wait for each other.
CREATE TABLE job_warnings (
    job_id    bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- A word of `longshore_model::ItemWarning`.
    code      text NOT NULL,
    -- Items with this warning.
    items     bigint NOT NULL,
    -- The first of them.
    key       text NOT NULL,
    row_index integer NOT NULL,
    PRIMARY KEY (job_id, code)
);
