"""What is known: the pages' questions, reconciliation, alerts."""
