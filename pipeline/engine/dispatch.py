"""Handing over: one chunk of messages by a few workers, each step journaled (R8).

Belongs here: composing, the workers, the journal's order. Does not: choosing the chunk
(`chunk.sql`), what an answer does (`settle`), how a transport speaks (`channels`).
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.channels.transport import Transport, UnknownOutcome, create_transport
from pipeline.engine.journal import write_begin, write_end
from pipeline.engine.programme import Programme
from pipeline.inbound.landing import Landing
from pipeline.messages.compose import (
    Letterhead,
    Message,
    compose_email,
    compose_sms,
    lead_context,
)
from pipeline.messages.notes import NOTE_CHANNELS, compose_note
from pipeline.messages.requests import compose_form, compose_webhook
from pipeline.sequences.compiled import CompiledStep, words_of
from pipeline.sequences.model import Sender
from pipeline.settings import DripError, Keys, Settings

CHUNK_MESSAGES = 500
CHUNK_SECONDS = 2.0
ORDERS_PER_WORKER = 10


@dataclass(frozen=True)
class Order:
    """One claimed send on its way to the transport."""

    send_id: int
    attempt: int
    channel: str
    sender: str
    step: CompiledStep
    variant: str | None
    recipient: Mapping[str, Any]


class Dispatcher:
    """Hands over chunks; keeps one connection per worker and transport, and one journal segment."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        keys: Keys,
        programme: Programme,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare without opening anything."""
        workspace = programme.workspace
        self._home, self._settings, self._programme, self._clock = home, settings, programme, clock
        self._letterhead = Letterhead(workspace.base_url, workspace.address, keys.token_key)
        self._landing = Landing(home, "journal", clock)
        self._open: dict[tuple[int, str], Transport] = {}

    async def close(self) -> None:
        """Close the connections and the journal."""
        for transport in self._open.values():
            await transport.close()
        self._open.clear()
        self._landing.close()

    async def hand_over(self, orders: list[Order]) -> int:
        """Hand over the orders, at most `CHUNK_SECONDS` of them, and return how many were begun.

        An order that was not reached stays claimed and comes with the next chunk.
        """
        # A connection costs as much as some ten messages.
        workers = min(self._settings.concurrency, math.ceil(len(orders) / ORDERS_PER_WORKER))
        self._prepare({order.sender for order in orders}, workers)
        end = time.monotonic() + CHUNK_SECONDS
        queue = iter(orders)
        counts = await asyncio.gather(*(self._work(n, queue, end) for n in range(workers)))
        return sum(counts)

    async def _work(self, worker: int, queue: Iterator[Order], end: float) -> int:
        count = 0
        for order in queue:
            await self._deliver(worker, order)
            count += 1
            if time.monotonic() > end:
                break
        return count

    async def _deliver(self, worker: int, order: Order) -> None:
        try:
            message = self._compose(order)
        except DripError as error:
            # Nothing was handed over and nothing would be at a second try.
            await self._end(order, "refused", f"render: {error}", None)
            return
        transport = self._open[worker, self._transport_of(order.sender)]
        try:
            outcome = await transport.deliver(
                message,
                lambda: write_begin(self._landing, order.send_id, order.attempt, self._clock()),
            )
        except UnknownOutcome as error:
            await self._end(order, "unknown", str(error), message.message_id or None)
        else:
            await self._end(order, outcome.status, outcome.reason, outcome.message_id)

    async def _end(
        self, order: Order, status: str, reason: str | None, message_id: str | None
    ) -> None:
        await write_end(
            self._landing,
            order.send_id,
            order.attempt,
            self._clock(),
            status=status,
            reason=reason,
            message_id=message_id,
        )

    def _transport_of(self, sender: str) -> str:
        return self._programme.workspace.senders[sender].transport

    def _prepare(self, senders: set[str], workers: int) -> None:
        """Create all transports first, so that a wrong setting stops nothing midway."""
        workspace = self._programme.workspace
        hooks = {s.transport for s in workspace.senders.values() if s.channel == "webhook"}
        for name in {self._transport_of(s) for s in senders if s in workspace.senders}:
            for worker in range(workers):
                if (worker, name) not in self._open:
                    self._open[worker, name] = create_transport(
                        name,
                        workspace.transports[name],
                        self._home,
                        self._settings,
                        self._clock,
                        is_signing=name in hooks,
                    )

    def _compose(self, order: Order) -> Message:
        sender = self._programme.workspace.senders.get(order.sender)
        if sender is None:
            raise DripError(f"Sender {order.sender!r} is gone from workspace.yml. Put it back.")
        if sender.channel != order.channel:
            # What was claimed before the edit: its words and its transport do not fit each other.
            raise DripError(
                f"Sender {order.sender!r} sends {sender.channel} now, and this is {order.channel}. "
                "Add a sender under another name instead."
            )
        return compose_order(
            send_id=order.send_id,
            channel=order.channel,
            content=words_of(order.step, order.variant)[1],
            recipient=order.recipient,
            sender=sender,
            letterhead=self._letterhead,
            now=self._clock(),
        )


def compose_order(
    *,
    send_id: int,
    channel: str,
    content: Mapping[str, str],
    recipient: Mapping[str, Any],
    sender: Sender,
    letterhead: Letterhead,
    now: datetime,
) -> Message:
    """Compose a message for one recipient, on its channel, from the words of the step or the arm.

    Raises:
        DripError: this message cannot be sent to this recipient.
    """
    context = lead_context(recipient, recipient["attributes"], recipient["context"])
    if channel in NOTE_CHANNELS:
        return compose_note(
            send_id,
            channel,
            content,
            context,
            sender=sender,
            letterhead=letterhead,
            now=now,
        )
    if channel == "webhook":
        return compose_webhook(send_id, content, context, letterhead=letterhead, now=now)
    if channel == "form":
        return compose_form(send_id, content, context, sender=sender, letterhead=letterhead)
    if channel == "sms":
        return compose_sms(
            send_id,
            content,
            context,
            sender=sender.address,
            gateway=sender.to,
            letterhead=letterhead,
            now=now,
        )
    return compose_email(
        send_id,
        content,
        context,
        sender=sender.address,
        recipient=recipient["email"] or "",
        letterhead=letterhead,
        now=now,
    )


def read_recipient(
    con: duckdb.DuckDBPyConnection, lead_id: int, sequence_id: str
) -> dict[str, Any]:
    """Return a lead's address, names, attributes, and its last context in a sequence."""
    row = con.sql(
        """
        select i.email, i.phone, i.first_name, i.last_name, l.attributes, (
                select max_by(x.context, x.enrollment_id)
                from enrollment_contexts as x
                inner join enrollments as e on x.enrollment_id = e.enrollment_id
                where e.lead_id = $lead_id and e.sequence_id = $sequence_id
            ) as context
        from identities as i
        inner join leads as l on i.lead_id = l.lead_id
        where i.lead_id = $lead_id
        """,
        params={"lead_id": lead_id, "sequence_id": sequence_id},
    ).pl()
    return _recipient(row.to_dicts()[0])


def _recipient(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "email": row["email"],
        "phone": row["phone"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "attributes": json.loads(row["attributes"] or "{}"),
        "context": json.loads(row["context"] or "{}"),
    }


def read_orders(rows: list[dict[str, Any]], programme: Programme) -> list[Order]:
    """Turn rows of the temp table `chunk` into orders, in their place."""
    return [
        Order(
            send_id=row["send_id"],
            attempt=row["attempt"],
            channel=row["channel"],
            sender=row["sender"],
            step=programme.steps[row["version_id"]][row["step_ix"]],
            variant=row["variant"],
            recipient=_recipient(row),
        )
        for row in rows
    ]
