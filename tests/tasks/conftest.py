"""The fixture of the test kit, as its users import it."""

from persistentq.testing import job_queue

__all__ = ["job_queue"]
