"""A copy of the checkout for each test; nothing of it runs or exists afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.supervision.checkouts import Checkout


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    made = Checkout()
    try:
        yield made
    finally:
        made.remove()
