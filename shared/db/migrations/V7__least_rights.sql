-- A host needs one right: to execute `enqueue_sync`. Until now it also needed rights on the tables, and with them it
-- could read the encrypted secrets and write everything.
-- Programs of the previous release go on working: they do not call this function.

-- It now runs with the rights of its owner. The path is fixed, because otherwise a caller could put a table or function
-- of its own before Postgres's; temporary objects come last. All other names in it have a schema, and none is made from
-- text.
ALTER FUNCTION longshore.enqueue_sync(text, text, bigint, text, jsonb)
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

-- Roles that could already start syncs by it keep that right. Postgres gives every role the right to execute a new
-- function, so until now the rights on the tables decided, also rights on the columns that it writes alone.
DO $$
DECLARE
    v_role name;
BEGIN
    FOR v_role IN
        SELECT rolname FROM pg_catalog.pg_roles
         WHERE NOT rolsuper AND rolname NOT LIKE 'pg\_%'
           AND has_schema_privilege(oid, 'longshore', 'USAGE')
           AND has_table_privilege(oid, 'longshore.storages', 'SELECT')
           AND has_any_column_privilege(oid, 'longshore.storages', 'UPDATE')
           AND has_any_column_privilege(oid, 'longshore.syncs', 'INSERT')
           AND has_any_column_privilege(oid, 'longshore.jobs', 'INSERT')
           AND has_any_column_privilege(oid, 'longshore.outbox', 'INSERT')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION longshore.enqueue_sync(text, text, bigint, text, jsonb), '
                       'longshore.enqueue(bigint, text, text, jsonb) TO %I', v_role);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION longshore.enqueue_sync(text, text, bigint, text, jsonb),
    longshore.enqueue(bigint, text, text, jsonb) FROM PUBLIC;
