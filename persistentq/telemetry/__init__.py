"""What the processes tell while they work: events for the log and for listeners, metrics, spans."""
