"""Tables as every page draws them: no index, times in UTC, links by the word that leads there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import pandas as pd

TIME = st.column_config.DatetimeColumn(format="MMM D, HH:mm:ss", timezone="UTC")


def table(
    rows: pd.DataFrame, key: str, alt: str, *, times: Iterable[str] = (), none: str = "", **columns: Any
) -> None:
    """Draw rows that nobody selects.

    Args:
        alt: What they are, for those who cannot see them.
        none: What stands for a value that is missing.
        times: The columns that hold points in time.
        columns: How others are drawn, by name.
    """
    st.dataframe(
        rows,
        hide_index=True,
        key=key,
        height="content",
        placeholder=none,
        alt=alt,
        column_config={**dict.fromkeys(times, TIME), **columns},
    )


def link(pattern: str) -> Any:
    """Return a column of addresses, each shown as what `pattern` finds in it."""
    return st.column_config.LinkColumn(display_text=pattern)
