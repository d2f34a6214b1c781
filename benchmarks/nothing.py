"""The application of a consumer that is measured: its one task does nothing."""

from __future__ import annotations

from persistentq import task


@task("t")
def do_nothing(n: int, pad: str) -> None:
    """Take what every benchmark's job carries."""
