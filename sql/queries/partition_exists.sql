-- Asked of the catalogue itself: to_regclass may tell what was so before a lock was waited for.
SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND relnamespace = current_schema()::regnamespace)
