"""The curves of a million leads cost little more than putting the leads in order."""

import pytest

from tests.benchmarks.__main__ import run_rows
from tests.benchmarks.rows.conversions import MOST_OVER_SORTING


@pytest.mark.prove
def test_time_to_conversion_of_a_million_leads_is_close_to_their_sort(tmp_path):
    [line] = run_rows(tmp_path, count=0, runs=1, say=print, only=["conversions"])
    assert line.value <= MOST_OVER_SORTING
