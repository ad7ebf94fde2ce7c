-- Who may edit or delete facts, in the tables and in each of their partitions. A superuser always may, and is in no list.
SELECT relation.oid::regclass::text AS name, right_of.privilege_type AS privilege,
    coalesce(role.rolname, 'PUBLIC') AS who
FROM pg_class AS relation
CROSS JOIN LATERAL aclexplode(coalesce(relation.relacl, acldefault('r', relation.relowner))) AS right_of
LEFT JOIN pg_roles AS role ON role.oid = right_of.grantee
WHERE (
    relation.oid IN ('event'::regclass, 'move'::regclass)
    OR relation.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('event'::regclass, 'move'::regclass))
) AND right_of.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
ORDER BY 1, 2, 3
