"""Finding PostgreSQL, keeping its schema, and the named statements."""
