"""On PostgreSQL and Redis, with several processes."""
