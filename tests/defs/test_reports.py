from typing import Any

import pytest

from pipeline.defs.reports import weekly_review
from pipeline.settings import DripError, Settings


def test_without_anything_published_the_review_says_what_to_do(
    settings: Settings, clock: Any
) -> None:
    with pytest.raises(DripError, match="drip refresh"):
        weekly_review(settings, clock)
