-- Refused objects are tried again at the end of their sync, and each key of an unordered storage is counted once.
-- Programs of the previous release go on working: they name the columns they use. A worker of that release that claims
-- a job which tries refused objects again lists the bucket instead, finds each key counted, and changes nothing.

ALTER TABLE jobs
    -- Import: whether the job tries the refused objects of its sync again. Its range is all of them.
    ADD COLUMN is_replay boolean NOT NULL DEFAULT false;

-- The keys that a job has listed in a storage without order, which may list a key several times. Removed after
-- the job has ended. No foreign key, as in all tables with a row for each object.
CREATE TABLE scanned_keys (
    job_id bigint NOT NULL,
    -- The first 16 bytes of the key's SHA-256: with fewer, someone could make two keys of which one is never imported.
    digest uuid NOT NULL,
    PRIMARY KEY (job_id, digest)
);
