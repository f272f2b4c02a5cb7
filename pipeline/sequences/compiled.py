"""What the engine consumes: sequences as flat steps with SQL conditions, frozen, and their JSON.

Belongs here: the dataclasses and their way into the ledger and back. Does not: reading files and
building these from them (`compile`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args

from pipeline.sequences.calendars import Calendar
from pipeline.sequences.vocabulary import NO_CONTACT

FINISHED = -1
"""`next_ix` of a step after which the enrollment is completed."""


@dataclass(frozen=True)
class Delay:
    """Time from an anchor to the due time: elapsed, or days that keep the wall time (R2)."""

    unit: Literal["seconds", "days", "business_days"] = "seconds"
    amount: int = 0
    since: Literal["previous", "enrollment"] = "previous"


@dataclass(frozen=True)
class Retry:
    """What to do after a definite temporary refusal (R7)."""

    attempts: int = 3
    backoff_seconds: int = 60
    then: Literal["skip", "exit"] = "skip"


@dataclass(frozen=True)
class Late:
    """What to do with a step that comes later than its slot (R4)."""

    after_seconds: int = 86400
    then: Literal["skip", "send"] = "skip"


@dataclass(frozen=True)
class WaitFor:
    """What a step waits for, until its time-out, which is the step's delay (R1).

    Attributes:
        event: Event kind; `opened` is fulfilled by a click as well.
        name: Goal of a conversion, name of a custom event.
        step_ix: Of a message whose event it must be; None = any, and what is known of the lead.
        url_like: Pattern of a click's url for `like … escape '!'`.
    """

    event: str
    name: str | None = None
    step_ix: int | None = None
    url_like: str | None = None
    on_timeout: Literal["continue", "exit"] = "continue"


@dataclass(frozen=True)
class Limits:
    """Caps of a sequence: contacts per workspace day, per enrollment, per workspace hour.

    What is said of a lead here stands in place of what the workspace says; None = as there.
    """

    per_day: int | None = None
    per_lead: int = 5
    per_hour: int | None = None
    lead_per_day: int | None = None
    lead_per_week: int | None = None
    contact_gap_seconds: int | None = None


Varies = Literal["content", "delay", "send_time", "channel", "presence"]
"""What a test changes. Content, the sender included, is drawn when the step is due, all else when
the previous step is settled (R13)."""


@dataclass(frozen=True)
class Variant:
    """One arm: its share of the test, and what it changes.

    Attributes:
        content: Texts that replace the step's; all texts of the channel where that is on trial.
        sender: Another sender; None = the step's.
        channel: Another channel, with `content` and `sender` of its own; None = the step's.
        windows: Hours of this step alone, as in `Calendar`; None = the sequence's.
        is_present: False = the step is left out for these leads, and the flow goes on.
    """

    arm: str
    weight: float
    content: Mapping[str, str] = field(default_factory=dict)
    delay: Delay | None = None
    sender: str | None = None
    channel: str | None = None
    windows: tuple[tuple[int, int], ...] | None = None
    is_present: bool = True


# What no arm may raise; a test says which of them stop an arm.
Guardrail = Literal["unsubscribed", "complained", "bounced"]
GUARDRAILS: tuple[Guardrail, ...] = get_args(Guardrail)


@dataclass(frozen=True)
class Experiment:
    """A test on one step.

    Attributes:
        share: Part of the units in the test, 0 to 1; the rest gets the control outside it.
        metric: replied | clicked | opened | answered | goal(name) | revenue(name).
        window_seconds: Outcome window from the assignment.
        planned_leads: All arms together; a guess in open mode, or None.
        guardrails: What is watched for harm, of GUARDRAILS.
        expected_loss: Share of the base rate; an arm that costs less than that on average is taken,
            once there is a learned prior. None = never.
        margin: Share of the control's rate within which arms are called equivalent; None = never.
    """

    experiment_id: str
    control: str
    share: float
    metric: str
    window_seconds: int
    mode: Literal["open", "planned"]
    planned_leads: int | None
    alpha: float
    is_auto: bool
    varies: Varies
    variants: tuple[Variant, ...]
    unit: Literal["lead", "account"] = "lead"
    allocation: Literal["equal", "weights", "thompson"] = "equal"
    guardrails: tuple[Guardrail, ...] = GUARDRAILS
    expected_loss: float | None = None
    margin: float | None = None


Message = Literal["email", "sms", "call", "whatsapp", "task", "linkedin", "webhook", "form", "best"]
Kind = Message | Literal["wait", "wait_for", "branch", "end"]


@dataclass(frozen=True)
class CompiledStep:
    """One node of the flattened sequence.

    Attributes:
        next_ix: Step that follows, also when this one is skipped; -1 = the enrollment is completed.
        cases: Of a branch: conditions and targets in order; the last condition is None (otherwise).
        end_status: Status that an end gives the lead; None = just completed.
        holdout: Share of the leads that come to this step and are held out there, 0 to 1.
        content: Template sources: `subject` and `body_text` (Markdown, snippets put in) for email,
            `text` for sms, whatsapp and linkedin, `script` for a call, `title` and `note` for a
            task; the `assignee` of work for somebody; for a webhook the `step` and the `payload`,
            a JSON object of templates; for a form the `payload`.
        options: Of channel best: channels with their senders, the first that can reach a lead is
            taken.
    """

    ix: int
    step_id: str
    kind: Kind
    delay: Delay = Delay()
    when_sql: str | None = None
    next_ix: int = FINISHED
    cases: tuple[tuple[str | None, int], ...] = ()
    wait_for: WaitFor | None = None
    options: tuple[tuple[str, str], ...] = ()
    end_status: str | None = None
    channel: str | None = None
    sender: str | None = None
    content: Mapping[str, str] = field(default_factory=dict)
    retry: Retry = Retry()
    late: Late = Late()
    experiment: Experiment | None = None
    holdout: float = 0.0

    @property
    def is_contact(self) -> bool:
        """Whether this step reaches a person, so that caps count it (R10)."""
        return self.channel is not None and self.channel not in NO_CONTACT


@dataclass(frozen=True)
class EnrollEvent:
    """The event that enrolls its lead; what is None may be anything.

    Attributes:
        url_like: LIKE pattern with the escape character `!`.
        value: Word of a custom event, such as a deal's stage.
    """

    kind: str
    name: str | None = None
    url_like: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class CompiledSequence:
    """One sequence: its live settings, and its steps, which `version` names (R19).

    Attributes:
        campaign: Label of a group of sequences, of which a lead is in one at a time.
        tags: Labels for reports, each once.
        templates: Number of a step, arm with a text of its own or None, and the template's file.
        overlap: This sequence may run beside others of its campaign, and they beside it.
        enroll_when_sql: Rule, or what must hold beside `enroll_event`; None = no rule.
        priority: Of sequences that want the same lead at once, the highest takes it first.
        reenter: Whether rule and event may enroll a lead again (R18).
        cooldown_seconds: From the end of a lead's last time in the sequence to the next.
        drain: Archived, but whoever is in it finishes.
        holdout: Share of enrolled leads that is never contacted, 0 to 1.
        react: Event kind → stop | pause | continue.
        resume_after: Event kind → seconds after which its pause ends by itself.
        content_json: Goal and steps with all texts: what runs and renders this version later.
    """

    sequence_id: str
    version: str
    status: Literal["draft", "active", "paused", "archived"]
    name: str
    description: str
    owner: str
    category: str
    campaign: str | None
    overlap: bool
    goal_name: str | None
    goal_within_seconds: int | None
    calendar: Calendar
    enroll_when_sql: str | None
    enroll_event: EnrollEvent | None
    priority: int
    reenter: Literal["never", "auto"]
    cooldown_seconds: int
    max_leads: int | None
    holdout: float
    react: Mapping[str, str]
    resume_after: Mapping[str, int]
    limits: Limits
    steps: tuple[CompiledStep, ...]
    content_json: str
    drain: bool = False
    tags: tuple[str, ...] = ()
    templates: tuple[tuple[int, str | None, str], ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that is compiled from the file, what is live included."""
        return sha256(repr(self).encode()).hexdigest()[:16]


def words_of(step: CompiledStep, arm: str | None) -> tuple[str, Mapping[str, str]]:
    """Return the channel and the texts that a step has for an arm; None = outside any test."""
    variants = step.experiment.variants if step.experiment else ()
    variant = next((one for one in variants if one.arm == arm), None)
    if variant is None:
        return step.channel or "", step.content
    if variant.channel is not None:
        return variant.channel, variant.content
    return step.channel or "", {**step.content, **variant.content}


def write_content_json(
    goal_name: str | None, goal_within_seconds: int | None, steps: tuple[CompiledStep, ...]
) -> str:
    """Write goal and steps as canonical JSON: equal content gives equal bytes."""
    content = {
        "goal": {"name": goal_name, "within_seconds": goal_within_seconds},
        "steps": [asdict(step) for step in steps],
    }
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def compile_from_json(sequence_id: str, content_json: str) -> tuple[CompiledStep, ...]:
    """Give back the steps of a stored version; imported history (`[]`) has none.

    Raises:
        ValueError: the text is not a stored version.
    """
    try:
        content = json.loads(content_json)
        steps = content["steps"] if isinstance(content, dict) else content
        return tuple(_read_step(step) for step in steps)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"stored version of sequence {sequence_id} is broken: {error}") from error


def _read_step(data: dict[str, Any]) -> CompiledStep:
    return CompiledStep(
        **data
        | {
            "delay": Delay(**data["delay"]),
            "cases": tuple((when_sql, target_ix) for when_sql, target_ix in data["cases"]),
            "wait_for": WaitFor(**data["wait_for"]) if data.get("wait_for") else None,
            "options": tuple((channel, sender) for channel, sender in data.get("options", ())),
            "retry": Retry(**data["retry"]),
            "late": Late(**data["late"]),
            "experiment": data["experiment"] and _read_experiment(data["experiment"]),
        }
    )


def _read_experiment(data: dict[str, Any]) -> Experiment:
    variants = (_read_variant(variant) for variant in data["variants"])
    guardrails = tuple(data.get("guardrails", GUARDRAILS))
    return Experiment(**data | {"variants": tuple(variants), "guardrails": guardrails})


def _read_variant(data: dict[str, Any]) -> Variant:
    delay, windows = data["delay"], data.get("windows")
    return Variant(
        **data
        | {
            "delay": delay and Delay(**delay),
            "windows": windows and tuple((opens, closes) for opens, closes in windows),
        }
    )
