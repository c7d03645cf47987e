-- Jobs that end their worker: what an attempt was working on, written down before it works, so that a loss blames that
-- and nothing else. Programs of the previous release go on working: they name the columns they use.

ALTER TABLE jobs
    -- Keys that a page of the running attempt may hold. Null unless the attempt runs alone: a worker that ends while
    -- the attempt waits for the others says nothing about the job.
    ADD COLUMN page_keys integer,
    -- Import: the object's key; export: the unit's ID. The last page of a single one, until a commit.
    -- `lost_alone` counts attempts that began to work on it, and is reset by a commit and by an attempt that ended in
    -- order.
    ADD COLUMN lone_key text COLLATE "C";

-- Finds the units that later exports leave out. Few rows: one for each unit that ended its workers.
CREATE INDEX quarantine_poison ON quarantine (storage_id, unit_id) WHERE reason = 'poison';
