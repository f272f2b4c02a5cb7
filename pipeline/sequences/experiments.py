"""The experiment of a step: from the file's words to arms, weights and what they change.

Belongs here: what one experiment must hold to be a test. Does not: drawing arms (`engine`),
deciding (`analysis`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.sequences.compiled import Delay, Experiment, Variant
from pipeline.sequences.model import ExperimentFile, StepFile, VariantFile, Workspace, suggest
from pipeline.sequences.yaml_file import KeyPath

CONTENT_FIELDS = {"email": ("subject", "body"), "sms": ("text",)}
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
    yield from _check_varied(step, test, is_first)


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
    if test.share <= 0:
        yield Finding(("share",), "a share of 0% tests nobody: remove the experiment")


def _check_varied(step: StepFile, test: ExperimentFile, is_first: bool) -> Iterator[Finding]:
    allowed = CONTENT_FIELDS.get(step.channel or "", ())
    for number, variant in enumerate(test.variants):
        for name in sorted({"subject", "body", "text"} - set(allowed)):
            if getattr(variant, name) is not None:
                message = f"{step.channel} steps have no {name}: write {' or '.join(allowed)}"
                yield Finding(("variants", number, name), message)
    has_delay = any(variant.after is not None for variant in test.variants)
    if has_delay and any(_overrides(variant) for variant in test.variants):
        yield Finding(("variants",), "vary the content or `after`, not both: split the test")
    if has_delay and is_first and step.after is None:
        message = "the first step has no `after` to vary: write `after:` on the step, or test"
        yield Finding(("variants",), f"{message} the delay of a later step")


def _overrides(variant: VariantFile) -> dict[str, str]:
    names = ("subject", "body", "text")
    values = {name: getattr(variant, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def build_experiment(test: ExperimentFile, contents: list[dict[str, str]]) -> Experiment:
    """Build the experiment from a checked file.

    Args:
        test: The file's words.
        contents: What each variant changes, texts read, in the order of the variants.
    """
    varies: Literal["content", "delay"] = "content"
    if any(variant.after is not None for variant in test.variants):
        varies = "delay"
    equal = 1 / len(test.variants)
    variants = tuple(
        Variant(
            arm=variant.id,
            weight=test.weights[variant.id] if test.weights else equal,
            content=content,
            delay=variant.after,
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
    )


def with_delays(experiment: Experiment, delay: Delay) -> Experiment:
    """Give every arm of a delay test its delay: an arm that names none has the step's."""
    if experiment.varies != "delay":
        return experiment
    variants = tuple(
        Variant(variant.arm, variant.weight, variant.content, variant.delay or delay)
        for variant in experiment.variants
    )
    return Experiment(**{**vars(experiment), "variants": variants})
