"""The page of all fields and the JSON Schema for editors, both made from the models.

Belongs here: walking `model.SequenceFile`, one example for each kind of step. Does not: what a
field may hold (`model`), what needs two fields (`compile`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.json_schema import GenerateJsonSchema

from pipeline.sequences.calendars import DAY_NAMES
from pipeline.sequences.compiled import Delay
from pipeline.sequences.durations import write_delay
from pipeline.sequences.model import (
    NOT_YET,
    REACTIONS,
    After,
    CalendarFile,
    Gap,
    Hours,
    Percent,
    Seconds,
    SequenceFile,
    WaitForFile,
)
from pipeline.sequences.outline import write_window
from pipeline.sequences.presets import PRESETS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PERCENT = 100


@dataclass(frozen=True)
class StepKind:
    """One kind of step: what it is for, the fields it has besides the common ones, an example."""

    purpose: str
    fields: tuple[str, ...]
    example: str


COMMON = ("id", "after", "when")
_SENDING = ("channel", "sender", "retry", "late", "holdout", "experiment")
_TEXTS = ("subject", "body", "text", "script")
KINDS: Mapping[str, StepKind] = {
    "email": StepKind(
        "A mail, with a plain and an HTML part from one Markdown text.",
        (*_SENDING, "subject", "body"),
        """
- id: welcome
  channel: email
  sender: sales
  subject: "Welcome, {{ first_name | default('there') }}"
  body: templates/welcome.md
  late: {after: 24h, then: skip}
""",
    ),
    "sms": StepKind(
        "A text message.",
        (*_SENDING, "text"),
        """
- id: nudge
  after: 12h
  channel: sms
  when: sent('welcome') and not opened('welcome')
  text: "Did you see our mail? Stop: {{ unsubscribe }}"
""",
    ),
    "whatsapp": StepKind(
        "A WhatsApp message.",
        (*_SENDING, "text"),
        """
- id: whatsapp
  after: 1d
  channel: whatsapp
  text: "Any question, {{ first_name | default('there') }}?"
""",
    ),
    "call": StepKind(
        "A call; whoever is to call gets the script. A lead that asks to be called at a moment "
        "(event `callback_requested` with `callback_at`) is called again then, once, unless a "
        "later step was settled or the sequence is over: a `wait` behind the last call keeps it "
        "open.",
        (*_SENDING, "script"),
        """
- id: call
  after: 2d
  channel: call
  script: "Ask {{ first_name | default('the lead') }} what is still open."
""",
    ),
    "task": StepKind(
        "Something a person does; settled when it is created, and no contact of the lead.",
        (*_SENDING, "title", "note", "assignee"),
        """
- id: look_up
  channel: task
  title: "Look at {{ email }}"
  note: "Which of our offers fits?"
""",
    ),
    "linkedin": StepKind(
        "A LinkedIn message, as a task of a person.",
        (*_SENDING, "text"),
        """
- id: connect
  after: 3bd
  channel: linkedin
  text: "We have talked about your project, shall we connect?"
""",
    ),
    "webhook": StepKind(
        "A signed request to a system of yours (Standard Webhooks), no contact of the lead. Its "
        "`webhook-id` is the number of the send and stays the same at every attempt; without a "
        "payload, which holds texts, it tells the lead's names, address and phone.",
        (*_SENDING, "payload"),
        """
- id: tell_shop
  after: 1d
  channel: webhook
  sender: webhook
  payload: {coupon: SPRING, customer: "{{ email }}"}
""",
    ),
    "form": StepKind(
        "A web form that is filled in for the lead, and a contact of it: the payload's fields are "
        "posted to the `url:` of the sender's transport, as a browser would. 200 to 299, 302 and "
        "303 say that it was taken. Numbers, `true` and `false` become text, what is null is left "
        "out; without quotes 007 would become 7, and 1.50 would become 1.5.",
        (*_SENDING, "payload"),
        """
- id: fill_in
  after: 2d
  channel: form
  sender: form
  payload:
    your-name: "{{ first_name | default('A friend') }}"
    your-email: "{{ email }}"
    message: "We would like to show you around. No more of us: {{ unsubscribe }}"
    consent: true
""",
    ),
    "best": StepKind(
        "One message by the first channel on which the lead can be reached, as listed.",
        ("channel", "retry", "late", "holdout", "experiment", *_TEXTS),
        """
- id: reach
  channel: best
  subject: "Shall we talk?"
  body: templates/welcome.md
  text: "Shall we talk?"
""",
    ),
    "wait": StepKind(
        "Nothing but time.",
        ("wait",),
        """
- id: a_week
  wait: 1w
""",
    ),
    "wait_for": StepKind(
        "Time until an event comes, or until the time-out.",
        ("wait_for",),
        """
- id: clicked
  wait_for: {event: clicked, step: welcome, timeout: 2d}
""",
    ),
    "branch": StepKind(
        "The first way whose condition holds; a way without `when` takes all others.",
        ("branch",),
        """
- id: looked_or_not
  after: 1d
  branch:
    - when: clicked('welcome')
      steps:
        - {id: thanks, channel: sms, text: "Thank you for looking."}
    - steps: []
""",
    ),
    "end": StepKind(
        "The end of every path that comes here; `inactive` sets the lead's status.",
        ("end",),
        """
- id: quiet
  after: 10d
  when: not replied()
  end: inactive
""",
    ),
}

# Written by hand below, or a heading of its own.
SECTIONS = {
    "EnrollFile": "Who enters: `enroll`",
    "EnrollEventFile": "An event that enrolls: `event`",
    "CalendarFile": "When: `calendar`",
    "LimitsFile": "How much: `limits`",
    "ReactionFile": "What events do: `react`",
    "GoalFile": "What for: `goal`",
    "RetryFile": "After a temporary refusal: `retry`",
    "LateFile": "Too late: `late`",
    "ExperimentFile": "A test: `experiment`",
    "VariantFile": "An arm: `variants`",
    "DecideFile": "How a test ends: `decide`",
    "CaseFile": "A way of a branch: `branch`",
    "WaitForFile": "What a step waits for: `wait_for`",
}


def _reader(annotated: Any) -> Any:
    """Return the function that reads what a person writes, from `Annotated[…, BeforeValidator]`."""
    return next(part.func for part in get_args(annotated)[1:] if isinstance(part, BeforeValidator))


def _field_reader(model: type[BaseModel], name: str) -> Any:
    metadata = model.model_fields[name].metadata
    return next(part.func for part in metadata if isinstance(part, BeforeValidator))


def _form(kind: str, holds: str, *options: Mapping[str, Any]) -> dict[str, Any]:
    schema = options[0] if len(options) == 1 else {"anyOf": list(options)}
    return {**schema, "x-kind": kind, "x-holds": holds}


def _many(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_TEXT = {"type": "string"}
_SPAN = {"type": "string", "pattern": r"^\d{1,7}(m|h|d|w)$"}
_DELAY = {"type": "string", "pattern": r"^\d{1,7}(m|h|d|w|bd)$"}
_HOURS = {"type": "string", "pattern": r"^\d\d:\d\d-\d\d:\d\d$"}
_SHARE = {"type": "string", "pattern": r"^\d{1,3}(\.\d+)? ?%$"}
_SINCE = {
    "type": "object",
    "properties": {"since": {"enum": ["previous", "enrollment"]}, "delay": _DELAY},
    "required": ["since", "delay"],
    "additionalProperties": False,
}
_REACTION = {
    "type": "object",
    "properties": {"do": {"enum": ["stop", "pause", "continue"]}, "resume_after": _SPAN},
    "required": ["do"],
    "additionalProperties": False,
}
_HOLDS_DELAY = "delay: `30m`, `12h`, `3d`, `2w`, `2bd`"
# What stands in a file where the model has a reader that makes something else of it.
_FORMS: Mapping[Any, dict[str, Any]] = {
    _reader(Percent): _form("share", "share such as `10%`", _SHARE),
    _reader(Seconds): _form("span", "span: `30m`, `12h`, `3d`, `2w`", _SPAN),
    _reader(Gap): _form("span", "span up to 30 days, such as `12h`", _SPAN),
    _reader(After): _form(
        "text", f"{_HOLDS_DELAY}, or `{{since: enrollment, delay: 12h}}`", _DELAY, _SINCE
    ),
    _reader(Hours): _form(
        "hours", '`"09:00-17:00"`, also past midnight, or a list', _HOURS, _many(_HOURS)
    ),
    _field_reader(WaitForFile, "timeout"): _form("text", _HOLDS_DELAY, _DELAY),
    _field_reader(CalendarFile, "days"): _form(
        "days", "list of `mon` … `sun`", _many({"enum": list(DAY_NAMES)})
    ),
    _field_reader(CalendarFile, "holidays"): _form(
        "text",
        '`US`, `DE-BY`, `"2026-12-24"`, `"12-24"` for every year, or a list',
        _TEXT,
        _many(_TEXT),
        {"type": "null"},
    ),
    _reader(get_args(SequenceFile.model_fields["react"].annotation)[1]): _form(
        "text",
        "`stop`, `pause`, `continue`, or `{do: pause, resume_after: 3d}`",
        {"enum": ["stop", "pause", "continue"]},
        _REACTION,
    ),
}


class _AsWritten(GenerateJsonSchema):
    """Describes what a person writes, not what the readers make of it."""

    def function_before_schema(self, schema: Any) -> dict[str, Any]:
        form = _FORMS.get(schema["function"]["function"])
        return dict(form) if form else super().function_before_schema(schema)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a sequence file, as people write it, for editors."""
    schema = SequenceFile.model_json_schema(schema_generator=_AsWritten)
    _mend(schema)
    return {"$schema": _DIALECT, "title": "A Driplab sequence", **schema}


def _mend(node: Any) -> None:
    """Write defaults as a file would; pydantic gives what it has made of them."""
    if isinstance(node, dict):
        if "x-kind" in node and "default" in node:
            node["default"] = _written(node["x-kind"], node["default"])
        for value in node.values():
            _mend(value)
    elif isinstance(node, list):
        for value in node:
            _mend(value)


def _written(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "share":
        return f"{value * _PERCENT:g}%"
    if kind == "span":
        return write_delay(Delay("seconds", value)) or "0m"
    if kind == "days":
        return [DAY_NAMES[day] for day in value]
    if kind == "hours":
        return [write_window(opens, closes) for opens, closes in value]
    return value


def schema_page() -> str:
    """Return the page of all fields, as Markdown."""
    schema = json_schema()
    definitions = schema["$defs"]
    parts = [
        "# A sequence file, field by field",
        "Made by `drip schema`: what stands here is what `drip check` accepts. "
        "`drip schema --json` prints the same as a JSON Schema for editors.",
        _table(schema, list(schema["properties"])),
        "## Steps",
        "Every step has these, and those of its kind:",
        _table(definitions["StepFile"], COMMON),
        *(_kind_part(name, kind, definitions["StepFile"]) for name, kind in KINDS.items()),
    ]
    # What is new and has no heading yet comes last, so that no field is ever missing.
    names = [*SECTIONS, *(n for n in definitions if n not in SECTIONS and n != "StepFile")]
    for name in names:
        if name in definitions and "properties" in definitions[name]:
            parts.append(f"## {SECTIONS.get(name, name.removesuffix('File'))}")
            parts.append(definitions[name].get("description", ""))
            parts.append(_table(definitions[name], list(definitions[name]["properties"])))
    parts += [_reactions(), _presets(), _not_yet()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind_part(name: str, kind: StepKind, step: dict[str, Any]) -> str:
    if "channel" in kind.fields:
        properties = {**step["properties"], "channel": {"const": name}}
        step = {**step, "properties": properties, "required": [*step["required"], "channel"]}
    return (
        f"### {name}\n\n{kind.purpose}\n\n{_table(step, kind.fields)}\n\n"
        f"```yaml\n{kind.example.strip()}\n```"
    )


def _table(model: dict[str, Any], names: Any) -> str:
    required = model.get("required", [])
    rows = ["| field | holds | default |", "|---|---|---|"]
    for name in names:
        field = model["properties"][name]
        default = "required" if name in required else _default(field)
        rows.append(f"| `{name}` | {_holds(field)} | {default} |")
    return "\n".join(rows)


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value in (None, "", []) or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _holds(field: dict[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_forms(field))) or "anything"


def _forms(field: dict[str, Any]) -> Iterator[str]:
    options = [field] if "x-holds" in field else field.get("anyOf", [field])
    yield from (_form_of(option) for option in options if option.get("type") != "null")


def _form_of(option: dict[str, Any]) -> str:
    if "x-holds" in option:
        return str(option["x-holds"])
    if "$ref" in option:
        return f"keys of {option['$ref'].rpartition('/')[2].removesuffix('File').lower()}"
    if words := option.get("enum", [option["const"]] if "const" in option else []):
        return ", ".join(f"`{word}`" for word in words)
    if option.get("type") == "array":
        return f"list of {_holds(option.get('items', {}))}"
    if option.get("additionalProperties"):
        return f"names with {_holds(option['additionalProperties'])}"
    return _plain(option)


def _plain(option: dict[str, Any]) -> str:
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
    }
    text = words.get(option.get("type", ""), "anything")
    low = option.get("minimum", option.get("exclusiveMinimum"))
    high = option.get("maximum", option.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    return f"{text} from {low}" if low is not None else text


def _reactions() -> str:
    rows = [f"| `{kind}` | `{reaction}` |" for kind, reaction in REACTIONS.items()]
    head = "## What events do when the file says nothing\n\n| event | reaction |\n|---|---|"
    return "\n".join([head, *rows])


def _presets() -> str:
    head = (
        "## What a category stands for\n\nA line of the file wins over its category.\n\n"
        "| category | days | hours | limits |\n|---|---|---|---|"
    )
    rows = [
        f"| `{name}` | {' '.join(preset['calendar']['days'])} | {preset['calendar']['hours']} | "
        f"{', '.join(f'{key} {value}' for key, value in preset['limits'].items())} |"
        for name, preset in PRESETS.items()
    ]
    return "\n".join([head, *rows])


def _not_yet() -> str:
    rows = [f"- `{name}`: {message}" for name, message in sorted(NOT_YET.items())]
    return "\n".join(["## Not yet", "", *rows]) if rows else ""
