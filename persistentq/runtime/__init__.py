"""The consumer's engine: it knows the contract, never how a database keeps it."""

from persistentq.runtime.consumer import Consumer, make_consumer_id
from persistentq.runtime.shares import read_queues

__all__ = ["Consumer", "make_consumer_id", "read_queues"]
