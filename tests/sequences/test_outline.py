"""What is in force, and the steps in order, in the words of the file."""

from collections.abc import Callable
from pathlib import Path

from pipeline.sequences.check import inspect_folder
from pipeline.sequences.outline import in_force, outline

MAIL = "channel: email, subject: Hi, body: templates/a.md"


def test_what_the_category_brings_stands_beside_what_the_file_writes(
    write: Callable[..., Path],
) -> None:
    text = f"""
category: cold
calendar: {{hours: ["22:00-02:00", "12:00-24:00"], holidays: [US, "12-24"]}}
limits: {{per_day: 100}}
steps: [{{id: a, {MAIL}}}]
"""
    _, (sequence,) = inspect_folder(write({"s.yml": text}))
    assert in_force(sequence) == {
        "sequence": "s",
        "status": "draft",
        "category": "cold",
        "timezone": "lead, else America/New_York",
        "days": "tue wed thu",
        "hours": "12:00-24:00 22:00-02:00",
        "preferred_hours": "",
        "holidays": "12-24 US",
        "limits": "per_day 100, per_lead 5",
    }


def test_an_outline_quotes_conditions_and_names_what_follows(write: Callable[..., Path]) -> None:
    text = f"""
calendar: {{timezone: Asia/Tokyo, preferred_hours: true}}
steps:
  - {{id: a, {MAIL}}}
  - id: choice
    after: 36h
    branch:
      - when: clicked('a')
        steps: [{{id: b, after: 2bd, {MAIL}, when: replied()}}]
      - steps: []
  - {{id: quiet, after: {{since: enrollment, delay: 14d}}, end: inactive}}
"""
    folder = write({"s.yml": text})
    _, (sequence,) = inspect_folder(folder)
    assert in_force(sequence)["timezone"] == "Asia/Tokyo"
    assert in_force(sequence)["preferred_hours"] == "yes"
    columns = ("step", "kind", "after", "when", "sender", "then")
    assert [tuple(row[name] for name in columns) for row in outline(sequence, folder)] == [
        ("a", "email", "", "", "sales", "choice"),
        ("choice", "branch", "36h", "", "", "b | quiet"),
        ("b", "email", "2bd", "replied()", "sales", "quiet"),
        ("quiet", "end", "2w since enrollment", "", "", "inactive"),
    ]
