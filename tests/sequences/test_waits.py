"""Waiting for an event, as a file says it."""

import pytest

from pipeline.sequences.compile import read_folder
from pipeline.sequences.compiled import Delay, WaitFor, compile_from_json
from tests.sequences.conftest import Write

FILE = """
status: active
enroll: {when: lead.source = 'META'}
%ssteps:
  - {id: a, channel: email, subject: Hi, body: templates/a.md}
  - %s
"""


def read(write: Write, step: str, head: str = ""):
    _, sequences, problems = read_folder(write({"one.yml": FILE % (head, step)}))
    return sequences, [f"{p.field}: {p.message}" for p in problems if p.severity == "error"]


def wait(text: str) -> str:
    return f"{{id: w, wait_for: {{{text}, timeout: 2d}}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("event: opened, step: a", WaitFor("opened", step_ix=0), id="opened"),
        pytest.param(
            "event: clicked, url: '*100%*'", WaitFor("clicked", url_like="%100!%%"), id="clicked"
        ),
        pytest.param("event: custom, name: demo", WaitFor("custom", "demo"), id="custom"),
        pytest.param("event: converted", WaitFor("converted", "sale"), id="goal of the sequence"),
        pytest.param(
            "event: replied, on_timeout: exit", WaitFor("replied", on_timeout="exit"), id="exit"
        ),
    ],
)
def test_a_wait_says_what_for(write: Write, text: str, expected: WaitFor) -> None:
    sequences, problems = read(write, wait(text), "goal: {name: sale}\n")
    assert problems == []
    step = sequences[0].steps[1]
    assert (step.kind, step.delay, step.wait_for) == ("wait_for", Delay("days", 2), expected)
    assert compile_from_json("one", sequences[0].content_json) == sequences[0].steps


@pytest.mark.parametrize(
    ("step", "words"),
    [
        pytest.param(wait("event: clickedd"), "Did you mean clicked?", id="event"),
        pytest.param(wait("event: opened, step: b"), "there is no such step", id="step"),
        pytest.param(wait("event: opened, step: w"), "it sends nothing", id="itself"),
        pytest.param(wait("event: opened, url: '*a*'"), "no url to wait for", id="url"),
        pytest.param(wait("event: clicked, url: '*'"), "no url to wait for", id="any url"),
        pytest.param(wait("event: opened, name: x"), "opened events have no name", id="name"),
        pytest.param(wait("event: custom"), "which custom event? Add `name:`", id="custom"),
        pytest.param(wait("event: converted"), "which converted event?", id="no goal"),
        pytest.param(wait("event: converted, name: sal"), "Did you mean 'sale'?", id="goal"),
        pytest.param("{id: w, wait_for: {event: opened}}", "timeout is missing", id="no timeout"),
        pytest.param("{id: w, wait: 3d, after: 1d}", "wait steps have no after", id="after"),
        pytest.param("{id: w, wait: 3d, text: x}", "wait steps have no text", id="text"),
        pytest.param(
            "{id: w, wait_for: {event: replied, timeout: 1d}, when: replied()}",
            "wait_for steps have no when",
            id="when",
        ),
        pytest.param("{id: w, wait: 3d, end: inactive}", "exactly one of channel", id="two"),
        pytest.param(
            "{id: w, channel: sms, text: x, wait: 3d}", "exactly one of channel", id="channel"
        ),
    ],
)
def test_a_wait_that_cannot_be_is_refused_with_what_to_write(
    write: Write, step: str, words: str
) -> None:
    _, problems = read(write, step)
    assert any(words in problem for problem in problems), problems


def test_a_plain_wait_is_a_step_with_a_delay(write: Write) -> None:
    sequences, problems = read(write, "{id: w, wait: {since: enrollment, delay: 3d}}")
    assert problems == []
    assert sequences[0].steps[1].delay == Delay("days", 3, "enrollment")
    assert sequences[0].steps[1].kind == "wait"
