"""The shapes of replies, a capability a file."""
