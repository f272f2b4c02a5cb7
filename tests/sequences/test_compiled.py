import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.compiled import (
    CompiledStep,
    Delay,
    Experiment,
    Late,
    Retry,
    Variant,
    compile_from_json,
    write_content_json,
)

DELAYS = st.builds(
    Delay,
    st.sampled_from(["seconds", "days", "business_days"]),
    st.integers(0, 10**6),
    st.sampled_from(["previous", "enrollment"]),
)
CONTENT = st.dictionaries(st.sampled_from(["subject", "body_text", "text"]), st.text(max_size=20))
VARIANTS = st.builds(
    Variant,
    st.sampled_from(["a", "b"]),
    st.floats(0, 1),
    CONTENT,
    st.none() | DELAYS,
    sender=st.none() | st.just("sales"),
    channel=st.none() | st.just("sms"),
    windows=st.none() | st.just(((540, 1020), (1080, 1500))),
    is_present=st.booleans(),
)
EXPERIMENTS = st.builds(
    Experiment,
    experiment_id=st.just("e_1"),
    control=st.just("a"),
    share=st.floats(0, 1),
    metric=st.just("replied"),
    window_seconds=st.integers(1, 10**7),
    mode=st.sampled_from(["open", "planned"]),
    planned_leads=st.none() | st.integers(1, 10**6),
    alpha=st.floats(0.001, 0.5),
    is_auto=st.booleans(),
    varies=st.sampled_from(["content", "delay", "send_time", "channel", "presence"]),
    variants=st.tuples(VARIANTS, VARIANTS),
)
STEPS = st.builds(
    CompiledStep,
    ix=st.integers(0, 59),
    step_id=st.text("abc_", min_size=1, max_size=5),
    kind=st.sampled_from(["email", "sms", "branch", "end"]),
    delay=DELAYS,
    when_sql=st.none() | st.text(max_size=20),
    next_ix=st.integers(-1, 59),
    cases=st.lists(st.tuples(st.none() | st.text(max_size=9), st.integers(-1, 59))).map(tuple),
    end_status=st.none() | st.just("inactive"),
    channel=st.none() | st.sampled_from(["email", "sms"]),
    sender=st.none() | st.text(max_size=5),
    content=CONTENT,
    retry=st.builds(
        Retry, st.integers(1, 9), st.integers(1, 999), st.sampled_from(["skip", "exit"])
    ),
    late=st.builds(Late, st.integers(1, 999), st.sampled_from(["skip", "send"])),
    experiment=st.none() | EXPERIMENTS,
)


@given(st.lists(STEPS, max_size=4).map(tuple))
def test_a_stored_version_gives_back_its_steps(steps: tuple[CompiledStep, ...]) -> None:
    assert compile_from_json("s", write_content_json("sale", None, steps)) == steps


def test_imported_history_has_no_steps() -> None:
    assert compile_from_json("s", "[]") == ()


@pytest.mark.parametrize("text", ["", "{}", '{"steps": [{"ix": 0}]}', "3"])
def test_a_broken_version_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="stored version of sequence s is broken"):
        compile_from_json("s", text)
