"""A step's message as a lead would get it, without sending or counting anything.

Belongs here: picking sequence, step, arm and lead. Does not: composing (`messages.compose`), the
page (`messages.preview`).
"""

from datetime import datetime
from typing import Any

from pipeline.engine.dispatch import compose_order, read_recipient
from pipeline.engine.story import find_lead
from pipeline.engine.viability import channel_for
from pipeline.ledger.store import open_ledger
from pipeline.messages.compose import Letterhead
from pipeline.messages.preview import preview_message, write_preview
from pipeline.sequences.compile import load_sequences, load_workspace
from pipeline.sequences.compiled import CompiledSequence, CompiledStep, words_of
from pipeline.sequences.outline import in_force, outline
from pipeline.settings import DripError, Settings, load_keys

# Shown when no lead is given: every field filled, so that the layout can be judged.
_EXAMPLE = {
    "email": "jordan@example.com",
    "phone": "+15550100000",
    "first_name": "Jordan",
    "last_name": "Example",
}


def preview_step(
    settings: Settings,
    sequence_id: str,
    step_id: str,
    *,
    lead: str | None,
    variant: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Compose a step's message and take it apart.

    Returns:
        headers (pairs), text, html, warnings, and the path of a page to open.

    Raises:
        DripError: no such sequence, step, arm or lead, or a template that cannot be filled.
    """
    workspace = load_workspace(settings.sequences)
    sequences = load_sequences(settings.sequences, workspace)
    step = _find_step(sequences, sequence_id, step_id)
    if variant is not None:
        arms = [v.arm for v in step.experiment.variants] if step.experiment else []
        if variant not in arms:
            raise DripError(
                f"Step {step_id!r} has no arm {variant!r}; arms: {', '.join(arms) or 'none'}."
            )
    recipient: dict[str, Any] = {**_EXAMPLE, "attributes": {}, "context": {}}
    if lead is not None:
        with open_ledger(settings.home, read_only=True) as con:
            recipient = read_recipient(con, find_lead(con, lead), sequence_id)
    keys = load_keys(settings.home)
    channel, sender = channel_for(step, recipient, variant)
    message = compose_order(
        send_id=0,
        channel=channel,
        content=words_of(step, variant)[1],
        recipient=recipient,
        sender=workspace.senders[sender],
        letterhead=Letterhead(
            workspace.base_url, workspace.address, keys.token_key, is_tracked=False
        ),
        now=now,
    )
    shown = preview_message(message)
    folder = settings.home / "previews"
    folder.mkdir(parents=True, exist_ok=True)
    page = write_preview(shown, folder / f"{sequence_id}-{step_id}.html")
    return {
        "headers": shown.headers,
        "text": shown.text,
        "html": shown.html,
        "warnings": shown.warnings,
        "page": str(page),
    }


def preview_sequence(settings: Settings, sequence_id: str) -> dict[str, Any]:
    """Outline a sequence without a look at the ledger.

    Returns:
        in_force (settings by name, as text) and steps (one mapping each).

    Raises:
        DripError: no such sequence, or a file with problems.
    """
    workspace = load_workspace(settings.sequences)
    sequence = _find_sequence(load_sequences(settings.sequences, workspace), sequence_id)
    return {"in_force": in_force(sequence), "steps": outline(sequence, settings.sequences)}


def _find_sequence(sequences: list[CompiledSequence], sequence_id: str) -> CompiledSequence:
    sequence = next((s for s in sequences if s.sequence_id == sequence_id), None)
    if sequence is None:
        known = ", ".join(s.sequence_id for s in sequences) or "none"
        raise DripError(f"There is no sequence {sequence_id!r}. Sequences: {known}.")
    return sequence


def _find_step(sequences: list[CompiledSequence], sequence_id: str, step_id: str) -> CompiledStep:
    sequence = _find_sequence(sequences, sequence_id)
    step = next((s for s in sequence.steps if s.step_id == step_id and s.channel), None)
    if step is None:
        known = ", ".join(s.step_id for s in sequence.steps if s.channel)
        raise DripError(f"{sequence_id} has no message step {step_id!r}. Steps: {known}.")
    return step
