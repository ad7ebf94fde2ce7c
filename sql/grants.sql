-- What the roles `sellable_writer` (the worker and the commands) and `sellable_clerk` (the API) may do, where they exist.
-- `sellable migrate` runs it as the owner of the tables, after the migrations. Neither may edit or delete an event or a
-- move, own or alter anything, or hand a right on. A test holds it to the statements in sql/queries.
DO $$
DECLARE
    home text := current_schema();
    who text;
    given record;
BEGIN
    FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('sellable_writer', 'sellable_clerk') ORDER BY rolname LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', home, who);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', home, who);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', home, who);
        FOR given IN
            SELECT * FROM (VALUES
                ('both', 'INSERT, UPDATE', 'inbox, purchase_order, reconciliation, seen, warehouse'),
                ('both', 'INSERT', 'lost_event, purchase_order_line, sku_key'),
                ('both', 'UPDATE', 'discrepancy, mismatch'),
                ('both', 'INSERT, DELETE', 'snapshot_line'),
                ('writer', 'INSERT', 'event, move, event_id, archived_month, archived_op, discrepancy, installation, '
                    'mismatch, quarantined_event, stock_correction'),
                ('writer', 'INSERT, UPDATE', 'counted, daily_check, document_sum, drift, epoch, inbox_sequence, lock, '
                    'lost_range, position, purchase_order_receipt, quarantine, recovery_lease, shortage, stock, transfer'),
                ('writer', 'INSERT, DELETE', 'balance, closed_lock'),
                ('writer', 'DELETE', 'lock, seen')
            ) AS known (role, rights, tables)
            WHERE role = 'both' OR 'sellable_' || role = who
        LOOP
            EXECUTE format('GRANT %s ON %s TO %I', given.rights, given.tables, who);
        END LOOP;
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION make_snapshot_table(bigint), drop_snapshot_table(bigint), take_statistics(text)'
            ' TO %I',
            who
        );
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sellable_writer') THEN
        GRANT EXECUTE ON FUNCTION make_month(date), archive_month_tables(date) TO sellable_writer;
    END IF;
END $$;
