-- What a description of the same schema depends on.
SELECT current_setting('server_version') AS version, rolsuper AS is_superuser FROM pg_roles WHERE rolname = current_user
