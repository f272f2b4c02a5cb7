"""A workspace as `drip init` makes it."""

import pytest


@pytest.fixture
def started(drip, tmp_path):
    """A workspace after its first tick."""
    assert drip("init", "--email", "ada@example.com", "--first-name", "Ada").code == 0
    assert drip("tick").code == 0
    return tmp_path
