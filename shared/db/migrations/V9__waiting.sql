-- What an unfinished job waits for, so that the API, the command line and the metrics can say it. Programs of the
-- previous release go on working: they name the columns they use, and every new one may be null. A worker of that release
-- does not clear them, so its job may show a wait that is over until it ends.

ALTER TABLE jobs
    -- A word of `longshore_model::WaitingFor`; null while nothing is known to hold the job up. Written by the end of an
    -- attempt that failed and by the heartbeat of a running one, cleared by the next page that makes progress. That no
    -- worker or slot is free, and that the broker has no message, is not stored: other rows and processes know it.
    ADD COLUMN waiting_for text CHECK (waiting_for IN ('storage', 'broker', 'database', 'worker', 'pause', 'limit')),
    -- Since when it waits for that, over all attempts.
    ADD COLUMN waiting_since timestamptz,
    -- The latest error, as text for users: no key, URL or secret.
    ADD COLUMN waiting_error text;
