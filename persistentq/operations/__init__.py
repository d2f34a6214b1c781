"""What an operator may do, and how it is worded: one layer under every face."""

from persistentq.operations.actions import ACTIONS, Action, ActionResult, act, delete_all
from persistentq.operations.job_files import FilesToDelete, delete_job_files, find_job_files
from persistentq.text import GLYPHS, ago, safe

__all__ = [
    "ACTIONS",
    "GLYPHS",
    "Action",
    "ActionResult",
    "FilesToDelete",
    "act",
    "ago",
    "delete_all",
    "delete_job_files",
    "find_job_files",
    "safe",
]
