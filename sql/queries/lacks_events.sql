-- Whether there is an event that could not be read at all; one of which only the columns were refused is complete.
SELECT EXISTS (
    SELECT FROM quarantine
    WHERE shard = $1 AND part = 'event' AND (ended_at IS NULL OR ended_as = 'dropped')
)
