"""The engine: takes what is due in batches, asks or decides, and records what came of it in one transaction."""
