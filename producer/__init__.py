"""The producer process that Supervisor runs."""
