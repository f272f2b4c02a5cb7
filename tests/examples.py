"""How many examples of a law that costs seconds are drawn: few in `make test`, five times as many in `make prove`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Of Hypothesis itself; the profile `deep` has five times as many.
USUAL = 100


def examples(count: int, **more: Any) -> Callable[[Any], Any]:
    """Mark a law of which each example costs a second or more; stands above `@given`.

    Examples may share function-scoped fixtures: such laws clean up or go on from where they are.
    """
    drawn = settings(
        max_examples=count * settings.default.max_examples // USUAL,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        **more,
    )

    def decorate(test: Any) -> Any:
        return pytest.mark.law(pytest.mark.timeout(1800)(drawn(test)))

    return decorate
