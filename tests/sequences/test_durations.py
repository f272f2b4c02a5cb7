from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.compiled import Delay
from pipeline.sequences.durations import parse_delay, parse_seconds, write_delay


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        pytest.param("0m", Delay("seconds", 0), id="nothing"),
        pytest.param("90m", Delay("seconds", 5400), id="minutes elapse"),
        pytest.param("24h", Delay("seconds", 86400), id="24 hours are no day"),
        pytest.param("1d", Delay("days", 1), id="a day keeps the wall time"),
        pytest.param("2w", Delay("days", 14), id="weeks are days"),
        pytest.param("2bd", Delay("business_days", 2), id="business days"),
    ],
)
def test_a_delay_keeps_elapsed_and_calendar_time_apart(text: str, delay: Delay) -> None:
    assert parse_delay(text) == delay


@pytest.mark.parametrize("text", ["", "1", "d", "1y", "-1d", "1.5h", "1 d", "1D", "99999d", "1d\n"])
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write a"):
        parse_delay(text)


def test_a_plain_span_has_no_business_days() -> None:
    assert parse_seconds("2w") == 1_209_600
    with pytest.raises(ValueError, match="business days"):
        parse_seconds("2bd")


@given(st.integers(0, 999), st.sampled_from(["m", "h", "d"]))
def test_a_span_grows_with_its_number(amount: int, unit: str) -> None:
    assert parse_seconds(f"{amount + 1}{unit}") > parse_seconds(f"{amount}{unit}")


@given(
    st.integers(0, 999),
    st.sampled_from(["m", "h", "d", "w", "bd"]),
    st.sampled_from(["previous", "enrollment"]),
)
def test_a_delay_is_written_as_it_is_read(
    amount: int, unit: str, since: Literal["previous", "enrollment"]
) -> None:
    amount = min(amount, 260)
    delay = parse_delay(f"{amount}{unit}", since)
    text, _, anchor = write_delay(delay).partition(" since ")
    if text:
        assert parse_delay(text, "enrollment" if anchor else "previous") == delay
    else:
        assert (delay.amount, delay.unit) == (0, "seconds")
