-- Rights by role: who writes the ledger need not own it.

-- What the owner alone can do, as functions that run as the owner: the worker and the API need not own anything. They
-- look for tables in the ledger's own schema first, whoever calls them.

-- The partitions of a day's month, where they are missing; returns the names of those made. Attaching a table that is
-- there, rather than making it in its place, lets readers and the writer go on.
CREATE FUNCTION make_month(of_day date) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    starts timestamp := date_trunc('month', of_day::timestamp);
    made text[] := '{}';
    kind text;
    part text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['event', 'move'] LOOP
        part := format('%s_%s', kind, to_char(starts, 'YYYY_MM'));
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace
        );
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, kind);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            kind, part, starts AT TIME ZONE 'UTC', (starts + interval '1 month') AT TIME ZONE 'UTC'
        );
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM PUBLIC, %I', part, current_user);
        made := made || part;
    END LOOP;
    RETURN made;
END $$;

-- The partitions of a past month leave the ledger for the schema `archive`: nothing is thrown away.
CREATE FUNCTION archive_month_tables(of_day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    starts timestamp := date_trunc('month', of_day::timestamp);
    kind text;
    part text;
BEGIN
    IF (starts + interval '1 month') AT TIME ZONE 'UTC' > now() THEN
        RAISE EXCEPTION 'the month % is not over', to_char(starts, 'YYYY-MM');
    END IF;
    CREATE SCHEMA IF NOT EXISTS archive;
    FOREACH kind IN ARRAY ARRAY['event', 'move'] LOOP
        part := format('%s_%s', kind, to_char(starts, 'YYYY_MM'));
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace
        );
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', kind, part);
        EXECUTE format('ALTER TABLE %I SET SCHEMA archive', part);
    END LOOP;
END $$;

-- A table for the lines of a snapshot that is taken in, with the rights that others have to `snapshot_line`.
CREATE FUNCTION make_snapshot_table(of_number bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    made text := format('snapshot_line_%s', of_number);
    granted record;
BEGIN
    IF NOT EXISTS (SELECT FROM reconciliation WHERE number = of_number AND status = 'running') THEN
        RAISE EXCEPTION 'no reconciliation % is running', of_number;
    END IF;
    EXECUTE format('CREATE UNLOGGED TABLE %I (LIKE snapshot_line)', made);
    FOR granted IN
        SELECT known.privilege_type AS privilege, pg_roles.rolname AS who
        FROM pg_class AS template
        CROSS JOIN LATERAL aclexplode(template.relacl) AS known
        JOIN pg_roles ON pg_roles.oid = known.grantee
        WHERE template.oid = 'snapshot_line'::regclass AND known.grantee <> template.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %I', granted.privilege, made, granted.who);
    END LOOP;
END $$;

CREATE FUNCTION drop_snapshot_table(of_number bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', format('snapshot_line_%s', of_number));
END $$;

-- Statistics of differences, or of the lines of one snapshot, for the planner.
CREATE FUNCTION take_statistics(of_table text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF of_table !~ '^(discrepancy|snapshot_line_[0-9]+)$' THEN
        RAISE EXCEPTION 'no statistics are taken of %', of_table;
    END IF;
    EXECUTE format('ANALYZE %I', of_table);
END $$;

DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT oid FROM pg_proc
        WHERE prosecdef AND pronamespace = current_schema()::regnamespace AND proname IN (
            'make_month', 'archive_month_tables', 'make_snapshot_table', 'drop_snapshot_table', 'take_statistics'
        )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END $$;
