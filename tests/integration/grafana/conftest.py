"""All boards, for the tests that ask them."""

from typing import Any

import pytest

from .asking import all_boards


@pytest.fixture(scope="session")
def boards() -> dict[str, dict[str, Any]]:
    """Return all boards with default settings by uid."""
    return all_boards()
