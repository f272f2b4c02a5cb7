"""The experiment of a step: from the file's words to arms, weights and what they change.

Belongs here: what one experiment must hold to be a test. Does not: drawing arms (`engine`),
deciding (`analysis`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.sequences.compiled import GUARDRAILS, Delay, Experiment, Variant, Varies
from pipeline.sequences.model import ExperimentFile, StepFile, VariantFile, Workspace, suggest
from pipeline.sequences.yaml_file import KeyPath

CONTENT_FIELDS: dict[str, tuple[str, ...]] = {
    "email": ("subject", "body"),
    "sms": ("text",),
    "call": ("script",),
    "whatsapp": ("text",),
    "task": ("title", "note"),
    "linkedin": ("text",),
    "webhook": (),
    "form": (),
    "best": ("subject", "body", "text", "script"),
}
"""The texts of each channel, in the order in which people are asked for them."""

BEST_ORDER = ("email", "sms", "call")
"""Channels of `best`, the first that can reach a lead is taken (requirements.md 62)."""

REQUESTS = ("webhook", "form")
"""Channels that tell a payload, which no variant has, to the address of their transport."""

TEXT_FIELDS = ("subject", "body", "text", "script", "title", "note")
"""Every text that a step or a variant may have on some channel."""

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Finding:
    """A mistake at a key below the experiment."""

    path: KeyPath
    message: str


def check_experiment(
    step: StepFile, test: ExperimentFile, workspace: Workspace, is_first: bool
) -> Iterator[Finding]:
    """Find what keeps the experiment from being one."""
    yield from _check_arms(test)
    yield from _check_weights(test)
    yield from _check_metric(test, workspace)
    yield from _check_unit(step, test, workspace)
    yield from _check_varied(step, test, workspace, is_first)


def _check_arms(test: ExperimentFile) -> Iterator[Finding]:
    arms = [variant.id for variant in test.variants]
    for number, arm in enumerate(arms):
        if arm in arms[:number]:
            yield Finding(("variants", number, "id"), f"variant {arm!r} twice: rename one")
    if test.control not in arms:
        message = f"control {test.control!r} is no variant:{suggest(test.control, arms)}"
        yield Finding(("control",), message)


def _check_weights(test: ExperimentFile) -> Iterator[Finding]:
    arms = [variant.id for variant in test.variants]
    example = "`weights: {" + ", ".join(f"{arm}: {100 // len(arms)}%" for arm in arms) + "}`"
    if test.weights is None:
        if test.allocation == "weights":
            yield Finding(("allocation",), f"allocation: weights needs {example}")
        return
    if test.allocation == "thompson":
        yield Finding(("weights",), "allocation: thompson finds the weights itself: remove them")
    if test.allocation == "equal" and "allocation" in test.model_fields_set:
        yield Finding(("weights",), "weights beside allocation: equal: remove one of the two")
    if set(test.weights) != set(arms):
        yield Finding(("weights",), f"weights name each variant once, such as {example}")
    elif min(test.weights.values()) <= 0:
        yield Finding(("weights",), "a weight of 0% draws nobody: remove the variant")
    elif abs(sum(test.weights.values()) - 1) > _SUM_TOLERANCE:
        total = f"{sum(test.weights.values()) * 100:g}%"
        yield Finding(("weights",), f"the weights sum to {total}, not 100%: write {example}")


def _check_metric(test: ExperimentFile, workspace: Workspace) -> Iterator[Finding]:
    goal = test.metric.partition("(")[2].rstrip(")")
    if goal and goal not in workspace.goals:
        hint = suggest(goal, workspace.goals) or " Declare it in `goals:` of workspace.yml."
        yield Finding(("metric",), f"unknown goal {goal!r}.{hint}")
    if test.decide.auto and test.metric == "opened":
        message = "auto: true with metric opened is refused, machines open mail: write"
        yield Finding(("decide", "auto"), f"{message} metric: clicked or replied, or auto: false")
    if test.decide.mode == "planned" and test.decide.leads is None:
        yield Finding(("decide",), "mode: planned needs the number of leads: write `leads: 6000`")
    for name in ("expected_loss", "margin"):
        if getattr(test.decide, name) == 0:
            yield Finding(("decide", name), f"{name}: 0% never holds: leave it away, or write 2%")
    if test.share <= 0:
        yield Finding(("share",), "a share of 0% tests nobody: remove the experiment")


def _check_unit(step: StepFile, test: ExperimentFile, workspace: Workspace) -> Iterator[Finding]:
    if test.unit == "account" and workspace.account is None:
        message = "no account is named: add `account: company` (an attribute) to workspace.yml"
        yield Finding(("unit",), f"{message}, or write unit: lead")
    if test.unit == "account" and step.holdout:
        message = "leads are held out one by one, accounts are drawn whole"
        yield Finding(("unit",), f"{message}: remove `holdout:` from the step, or write unit: lead")


def _check_varied(
    step: StepFile, test: ExperimentFile, workspace: Workspace, is_first: bool
) -> Iterator[Finding]:
    for number, variant in enumerate(test.variants):
        for finding in _check_words(step, variant, workspace):
            yield Finding(("variants", number, *finding.path), finding.message)
    kinds = sorted({kind for variant in test.variants for kind in _changes(step, variant)})
    if len(kinds) > 1:
        what = f"vary {_VARIED[kinds[0]]} or {_VARIED[kinds[1]]}, not both"
        yield Finding(("variants",), f"{what}: split the test")
    if "delay" in kinds and is_first and step.after is None:
        message = "the first step has no `after` to vary: write `after:` on the step, or test"
        yield Finding(("variants",), f"{message} the delay of a later step")
    if not any(variant.present for variant in test.variants):
        message = "no variant is present: nobody would get the step: remove it"
        yield Finding(("variants",), message)


# A title may say everything.
OPTIONAL_FIELDS = ("note",)
_VARIED: dict[Varies, str] = {
    "content": "the content",
    "delay": "`after`",
    "send_time": "`hours`",
    "channel": "the channel",
    "presence": "the presence of the step",
}


def _changes(step: StepFile, variant: VariantFile) -> Iterator[Varies]:
    """Tell what a variant has that the step has not; texts of another channel belong to it."""
    is_elsewhere = variant.channel not in (None, step.channel)
    if is_elsewhere:
        yield "channel"
    elif _overrides(variant) or variant.sender:
        yield "content"
    if variant.after is not None:
        yield "delay"
    if variant.hours is not None:
        yield "send_time"
    if not variant.present:
        yield "presence"


def _check_words(step: StepFile, variant: VariantFile, workspace: Workspace) -> Iterator[Finding]:
    channel = variant.channel or step.channel or ""
    if variant.channel == "best":
        yield Finding(("channel",), "a variant has one channel: write email, sms or call")
        return
    pair = (channel, step.channel)
    requests = [name for name in REQUESTS if name in pair and channel != step.channel]
    if requests:
        how = "test channels that have, such as email and sms"
        yield Finding(("channel",), f"a {requests[0]} has no text for an arm: {how}")
        return
    allowed, given = CONTENT_FIELDS.get(channel, ()), _overrides(variant)
    for name in sorted(set(given) - set(allowed)):
        how = f"write {' or '.join(allowed)}" if allowed else "remove it"
        yield Finding((name,), f"{channel} steps have no {name}: {how}")
    if channel != step.channel:
        for name in allowed:
            if name not in OPTIONAL_FIELDS and not given.get(name, "").strip():
                message = f"{channel} variant without {name}: it shares no text with {step.channel}"
                yield Finding((name,), f"{message}: add `{name}:`")
    yield from _check_sender(step, variant, channel, workspace)


def _check_sender(
    step: StepFile, variant: VariantFile, channel: str, workspace: Workspace
) -> Iterator[Finding]:
    known = [name for name, sender in workspace.senders.items() if sender.channel == channel]
    if variant.sender is not None and variant.sender not in known:
        message = f"no {channel} sender {variant.sender!r}.{suggest(variant.sender, known)}"
        yield Finding(("sender",), message)
    if channel != step.channel and sender_of(variant, channel, workspace) is None:
        hint = suggest("", known) or f" Add one with channel: {channel} to workspace.yml."
        yield Finding(("sender",), f"no sender: add `sender:`.{hint}")


def sender_of(variant: VariantFile, channel: str, workspace: Workspace) -> str | None:
    """Return who writes on a variant's own channel."""
    return variant.sender or workspace.default_sender(channel)


def _overrides(variant: VariantFile) -> dict[str, str]:
    values = {name: getattr(variant, name) for name in TEXT_FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def build_experiment(
    step: StepFile, test: ExperimentFile, workspace: Workspace, contents: list[dict[str, str]]
) -> Experiment:
    """Build the experiment from a checked file.

    Args:
        step: The step that it is on.
        test: The file's words.
        workspace: For the sender of another channel.
        contents: What each variant changes, texts read, in the order of the variants.
    """
    kinds = [kind for variant in test.variants for kind in _changes(step, variant)]
    varies = kinds[0] if kinds else "content"
    equal = 1 / len(test.variants)
    variants = tuple(
        Variant(
            arm=variant.id,
            weight=test.weights[variant.id] if test.weights else equal,
            content=content,
            delay=variant.after,
            windows=variant.hours,
            is_present=variant.present,
            **_other_way(step, variant, workspace),
        )
        for variant, content in zip(test.variants, contents, strict=True)
    )
    return Experiment(
        experiment_id=test.id,
        control=test.control,
        share=test.share,
        metric=test.metric,
        window_seconds=test.window,
        mode=test.decide.mode,
        planned_leads=test.decide.leads,
        alpha=test.decide.alpha,
        is_auto=test.decide.auto,
        varies=varies,
        variants=variants,
        unit=test.unit,
        allocation="weights" if test.weights else test.allocation,
        guardrails=tuple(name for name in GUARDRAILS if name in test.decide.guardrails),
        expected_loss=test.decide.expected_loss,
        margin=test.decide.margin,
    )


def _other_way(step: StepFile, variant: VariantFile, workspace: Workspace) -> dict[str, str | None]:
    """Give sender and channel where they are not the step's."""
    channel = variant.channel
    if channel is None or channel == step.channel:
        return {"sender": variant.sender}
    return {"channel": channel, "sender": sender_of(variant, channel, workspace)}


def with_delays(experiment: Experiment, delay: Delay) -> Experiment:
    """Give every arm of a delay test its delay: an arm that names none has the step's."""
    if experiment.varies != "delay":
        return experiment
    variants = tuple(
        replace(variant, delay=variant.delay or delay) for variant in experiment.variants
    )
    return replace(experiment, variants=variants)
