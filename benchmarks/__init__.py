"""Measured speed: one module per subject, each a command that answers JSON."""
