from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sequences.check import check_folder

SHIPPED = Path(__file__).resolve().parents[2] / "sequences"
Write = Callable[..., Path]
MAIL = "channel: email, subject: Hi, body: templates/a.md"


def test_the_shipped_folder_has_no_problems_at_all() -> None:
    assert check_folder(SHIPPED) == []


def test_errors_and_advice_come_together_in_the_order_of_files(write: Write) -> None:
    text = f"status: active\nsteps: [{{id: a, {MAIL}}}]"
    folder = write({"b.yml": text, "a.yml": "stauts: active\nsteps: []"})
    found = [(p.file, p.line, p.severity) for p in check_folder(folder)]
    assert found == [("a.yml", 1, "error"), ("a.yml", 2, "error"), ("b.yml", 1, "warning")]


@pytest.mark.parametrize(
    ("hours", "is_told"),
    [('"09:00-12:00"', True), ('"09:00-12:01"', False), ('"22:00-02:00"', False)],
)
def test_hours_that_leave_no_choice_are_told(write: Write, hours: str, is_told: bool) -> None:
    calendar = f"calendar: {{hours: {hours}, preferred_hours: true}}"
    folder = write({"a.yml": f"{calendar}\nsteps: [{{id: a, {MAIL}}}]"})
    told = [problem.field for problem in check_folder(folder)]
    assert ("calendar.preferred_hours" in told) is is_told


@pytest.mark.parametrize(("more", "is_told"), [("", True), (", {id: listen, wait: 7d}", False)])
def test_a_call_that_ends_its_sequence_is_told(write: Write, more: str, is_told: bool) -> None:
    folder = write(
        {"a.yml": f"steps: [{{id: a, {MAIL}}}, {{id: b, channel: call, script: Hi}}{more}]"}
    )
    path = folder / "workspace.yml"
    caller = "  bo: {channel: call, address: bo@example.com}\n"
    path.write_text(path.read_text().replace("senders:\n", "senders:\n" + caller))
    found = {problem.field: problem for problem in check_folder(folder)}
    assert ("steps[1].id" in found) is is_told
    assert not is_told or "wait: 7d" in found["steps[1].id"].message


def test_a_missing_folder_is_one_error(tmp_path: Path) -> None:
    (problem,) = check_folder(tmp_path / "nowhere")
    assert "drip init" in problem.message


@pytest.mark.parametrize(
    ("step", "field", "words"),
    [
        pytest.param(
            f"{{id: b, channel: email, subject: {'x' * 51}, body: templates/a.md}}",
            "steps[0].branch[0].steps[0].subject",
            "51 characters",
            id="long subject",
        ),
        pytest.param(
            f"{{id: b, channel: sms, text: {'x' * 481}}}",
            "steps[0].branch[0].steps[0].text",
            "three messages",
            id="long text",
        ),
        pytest.param(
            f"{{id: b, {MAIL}, experiment: {{id: e, control: a, metric: replied, "
            "variants: [{id: a}, {id: b}]}}",
            "steps[0].branch[0].steps[0].experiment.variants",
            "say the same",
            id="equal variants",
        ),
        pytest.param(
            "{id: b, channel: sms, text: 'Hi {{ first_name }}'}",
            "steps[0].branch[0].steps[0].text",
            "without first_name",
            id="no default",
        ),
    ],
)
def test_what_is_unwise_is_a_warning_at_its_line(
    write: Write, step: str, field: str, words: str
) -> None:
    folder = write({"s.yml": f"steps:\n  - id: a\n    branch:\n      - steps:\n        - {step}\n"})
    (problem,) = check_folder(folder)
    assert (problem.severity, problem.field, problem.line) == ("warning", field, 5)
    assert words in problem.message


def test_a_workspace_without_postal_address_is_a_warning(write: Write) -> None:
    folder = write()
    path = folder / "workspace.yml"
    path.write_text(path.read_text().replace("address: 1 Example Street\n", ""))
    (problem,) = check_folder(folder)
    assert (problem.field, problem.severity) == ("address", "warning")


def test_hours_that_are_all_quiet_are_advised_against(write: Write) -> None:
    steps = f"steps: [{{id: a, {MAIL}}}, {{id: t, channel: sms, text: Hi}}]"
    folder = write({"s.yml": f'calendar: {{hours: "21:00-23:00"}}\n{steps}'})
    path = folder / "workspace.yml"
    path.write_text(path.read_text() + 'quiet_hours: {sms: "20:00-08:00"}\n')
    (problem,) = check_folder(folder)
    assert (problem.severity, problem.field) == ("warning", "calendar")
    assert "no sms step ever goes out" in problem.message
    path.write_text(path.read_text().replace('"20:00-08:00"', '["20:00-08:00", "07:00-20:00"]'))
    (problem,) = check_folder(folder)
    assert "leave no hour of the day" in problem.message
