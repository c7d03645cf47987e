-- What the listings of a storage can do, as probes found: how they are continued, their order, where they start. NULL until
-- the first probe. Programs of the previous release do not read it: they list as before.
ALTER TABLE storages ADD COLUMN capabilities jsonb;
