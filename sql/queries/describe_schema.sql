-- Everything in the namespace $1 that the ledger's schema consists of: what it is about, which part, and how it is
-- defined. Left out: comments, statistics, table spaces, and partitions that are as they must be.
WITH relation AS (
    SELECT * FROM pg_class
    WHERE relnamespace = $1::oid AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND relname <> 'alembic_version'
), part AS (
    SELECT class.oid, class.relname, class.relpersistence, inherits.inhparent
    FROM pg_inherits AS inherits JOIN pg_class AS class ON class.oid = inherits.inhrelid
), owning AS (
    -- Who migrates. Others have fewer rights on purpose (`sql/grants.sql`).
    SELECT relowner AS owner FROM pg_class WHERE relname = 'alembic_version' AND relnamespace = $1::oid
)
SELECT format('%s %s', CASE relkind WHEN 'v' THEN 'view' ELSE 'table' END, relname) AS what, 'kind' AS part,
    CASE relkind
        WHEN 'v' THEN 'view ' || md5(pg_get_viewdef(oid, true))
        WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(oid)
        ELSE 'table'
    END AS definition
FROM relation
UNION ALL
SELECT 'table ' || relname, 'storage', CASE relpersistence WHEN 'u' THEN 'unlogged (a crash empties it)' ELSE 'logged' END
FROM relation WHERE relkind <> 'v'
UNION ALL
SELECT 'table ' || relname, 'owner', CASE
    WHEN pg_has_role(relowner, 'USAGE') OR relowner = (SELECT owner FROM owning) THEN 'the owner of the ledger'
    ELSE pg_get_userbyid(relowner)::text
END
FROM relation WHERE relkind <> 'v'
UNION ALL
SELECT 'table ' || relname, 'row security', CASE WHEN relrowsecurity THEN 'on' ELSE 'off' END
FROM relation WHERE relkind <> 'v'
UNION ALL
SELECT 'table ' || relation.relname, 'right of this user to ' || kind.name, 'GRANT ' || kind.name
FROM relation CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS kind (name)
WHERE relation.relkind <> 'v'
    AND (has_table_privilege(relation.oid, kind.name) OR NOT pg_has_role(relation.relowner, 'USAGE'))
UNION ALL
SELECT 'table ' || relation.relname, 'column ' || attribute.attname, concat_ws(' ',
    format_type(attribute.atttypid, attribute.atttypmod),
    CASE WHEN attribute.attnotnull THEN 'NOT NULL' END,
    CASE attribute.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN 'GENERATED AS IDENTITY' END,
    CASE WHEN preset.oid IS NOT NULL THEN
        CASE attribute.attgenerated WHEN '' THEN 'DEFAULT ' ELSE 'GENERATED AS ' END
        || pg_get_expr(preset.adbin, preset.adrelid, true)
    END
)
FROM relation
JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
LEFT JOIN pg_attrdef AS preset ON (preset.adrelid, preset.adnum) = (attribute.attrelid, attribute.attnum)
WHERE attribute.attnum > 0 AND NOT attribute.attisdropped AND relation.relkind <> 'v'
UNION ALL
SELECT 'table ' || relation.relname,
    CASE known.contype WHEN 'p' THEN 'primary key' ELSE 'constraint ' || known.conname END,
    pg_get_constraintdef(known.oid, true) || CASE WHEN NOT coalesce(index.indisvalid, true) THEN ' (not valid)' ELSE '' END
FROM relation
JOIN pg_constraint AS known ON known.conrelid = relation.oid
LEFT JOIN pg_index AS index ON index.indexrelid = known.conindid AND known.contype IN ('p', 'u', 'x')
WHERE known.contype IN ('p', 'u', 'x', 'c', 'f')
UNION ALL
SELECT 'table ' || relation.relname,
    CASE WHEN index.indisunique THEN 'unique index ' ELSE 'index ' END || named.relname,
    pg_get_indexdef(index.indexrelid, 0, true) || CASE WHEN index.indisvalid THEN '' ELSE ' (not valid)' END
FROM relation
JOIN pg_index AS index ON index.indrelid = relation.oid
JOIN pg_class AS named ON named.oid = index.indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint AS known WHERE known.conindid = index.indexrelid AND known.contype <> 'f')
UNION ALL
SELECT 'table ' || relation.relname, 'trigger ' || trigger.tgname, pg_get_triggerdef(trigger.oid, true)
FROM relation JOIN pg_trigger AS trigger ON trigger.tgrelid = relation.oid
WHERE NOT trigger.tgisinternal
UNION ALL
SELECT DISTINCT 'table ' || relation.relname, 'checks of references', 'off'
FROM relation JOIN pg_trigger AS trigger ON trigger.tgrelid = relation.oid
WHERE trigger.tgisinternal AND trigger.tgenabled = 'D'
UNION ALL
SELECT 'table ' || relation.relname, 'rule ' || rule.rulename, pg_get_ruledef(rule.oid, true)
FROM relation JOIN pg_rewrite AS rule ON rule.ev_class = relation.oid
WHERE relation.relkind <> 'v'
UNION ALL
SELECT 'type ' || type.typname, 'values', string_agg(label.enumlabel, ', ' ORDER BY label.enumsortorder)
FROM pg_type AS type JOIN pg_enum AS label ON label.enumtypid = type.oid
WHERE type.typnamespace = $1::oid
GROUP BY type.typname
UNION ALL
SELECT format('function %s(%s)', proname, pg_get_function_identity_arguments(oid)), 'body', concat_ws(' ',
    pg_get_function_result(oid), provolatile::text, md5(prosrc)
)
FROM pg_proc WHERE pronamespace = $1::oid
UNION ALL
-- Partitions: only what is not as it must be.
SELECT 'table ' || split_part(relname, '_', 1), 'place of partition ' || relname, 'beside the table'
FROM relation WHERE relname ~ '^(event|move)_[0-9]{4}_[0-9]{2}$'
UNION ALL
SELECT 'table ' || parent.relname, format('%s of partition %s', named.relname, part.relname), 'missing or not attached'
FROM part JOIN relation AS parent ON parent.oid = part.inhparent
JOIN pg_index AS index ON index.indrelid = parent.oid
JOIN pg_class AS named ON named.oid = index.indexrelid
WHERE NOT EXISTS (
    SELECT FROM pg_index AS own
    JOIN pg_inherits AS attached ON attached.inhrelid = own.indexrelid AND attached.inhparent = index.indexrelid
    WHERE own.indrelid = part.oid AND own.indisvalid
)
UNION ALL
SELECT 'table ' || parent.relname, 'storage of partition ' || part.relname, 'unlogged (a crash empties it)'
FROM part JOIN relation AS parent ON parent.oid = part.inhparent
WHERE part.relpersistence = 'u'
UNION ALL
SELECT 'table ' || parent.relname, format('trigger %s of partition %s', trigger.tgname, part.relname),
    pg_get_triggerdef(trigger.oid, true)
FROM part JOIN relation AS parent ON parent.oid = part.inhparent
JOIN pg_trigger AS trigger ON trigger.tgrelid = part.oid
WHERE NOT trigger.tgisinternal AND trigger.tgparentid = 0
