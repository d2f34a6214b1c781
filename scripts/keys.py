"""Write the keys, commands and queries into docs/manager.md anew, from the tables that the manager itself has.

python -m scripts.keys
"""

from __future__ import annotations

from pathlib import Path

from manager.help import help_tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "manager.md"
BEGIN, END = "<!-- made by `make docs` -->\n", "<!-- end -->\n"


def with_tables(text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{help_tables()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
