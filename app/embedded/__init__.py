"""The servers that come along: an embedded Valkey and Postgres, and the supervisor over them."""
