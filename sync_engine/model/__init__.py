"""Documents, lifecycles, flows, matching and policies: pure tables and functions, no clock, no database, no network."""
