"""The consumer process that Supervisor runs."""
