"""The dashboard: `streamlit run ops/ops.py`, or `python ops/ops.py`; http://localhost:8501, for this machine only.

Streamlit loads this file once, as the module `ops`, and runs `ops_page.py` for every visit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import streamlit as st

import ops_guard

_HERE = Path(__file__).resolve()


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become `streamlit run` on this file, with further Streamlit options if any; does not return."""
    options = sys.argv[1:] if argv is None else argv
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(_HERE), *options])


def _refuse_other_machines() -> None:
    if why := ops_guard.refusal(st.get_option("server.address")):
        sys.stderr.write(f"error: {why}\nhint: {ops_guard.HINT}\n")
        raise SystemExit(2)


if __name__ == "__main__":
    main()

os.umask(0o077)
_refuse_other_machines()
# A checkout's own library wins over an installed one. In a wheel this folder lies inside the library.
if (_HERE.parents[1] / "persistentq" / "__init__.py").is_file():
    sys.path.insert(0, str(_HERE.parents[1]))
app = st.App(_HERE.with_name("ops_page.py"))
