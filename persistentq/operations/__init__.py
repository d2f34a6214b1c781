"""What an operator may do, and how it is worded: one layer under every face."""

from persistentq.operations.acting import ActResult, Preview
from persistentq.operations.actions import ACTIONS, Action
from persistentq.operations.job_files import FilesToDelete, delete_job_files, find_job_files
from persistentq.operations.operator import Operator
from persistentq.text import GLYPHS, ago, safe

__all__ = [
    "ACTIONS",
    "GLYPHS",
    "ActResult",
    "Action",
    "FilesToDelete",
    "Operator",
    "Preview",
    "ago",
    "delete_job_files",
    "find_job_files",
    "safe",
]
