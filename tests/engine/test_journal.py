"""What the dispatcher writes down is what the next one reads."""

import asyncio
import json
from datetime import UTC, datetime

from pipeline.engine.journal import read_journal, write_begin, write_end
from pipeline.inbound.landing import Landing
from pipeline.ledger.store import open_ledger, transaction

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def answers(home):
    with open_ledger(home) as con, transaction(con):
        count = read_journal(con, home, NOW)
        rows = con.execute(
            "select send_id, attempt, status, reason, message_id, settled_at from answers order by all"
        ).fetchall()
    assert count == len(rows)
    return rows


async def write(home, lines):
    landing = Landing(home, "journal", lambda: NOW)
    await write_begin(landing, 1, 1, NOW)
    await write_end(landing, 1, 1, NOW, status="handed_over", reason=None, message_id="<m@x>")
    for send_id in lines:
        await write_begin(landing, send_id, 2, NOW)
    landing.close()


def test_an_answer_comes_back_and_a_begin_alone_is_unknown(home):
    asyncio.run(write(home, [5]))
    assert answers(home) == [
        (1, 1, "handed_over", None, "<m@x>", NOW),
        (5, 2, "unknown", None, None, NOW),
    ]


def test_what_was_read_is_not_read_again(home):
    asyncio.run(write(home, []))
    assert len(answers(home)) == 1
    assert answers(home) == []


def test_a_torn_last_line_was_never_begun(home):
    path = home / "landing" / "journal-20260105T150000-00000000.jsonl"
    begin = json.dumps({"begin": 1, "attempt": 1, "at": NOW.isoformat()})
    path.write_text(begin + "\n" + begin.replace("1", "2", 1)[:20])
    assert [row[:3] for row in answers(home)] == [(1, 1, "unknown")]


def test_rolled_back_offsets_give_the_answers_again(home):
    asyncio.run(write(home, []))
    with open_ledger(home) as con:
        con.execute("begin")
        assert read_journal(con, home, NOW) == 1
        con.execute("rollback")
    assert len(answers(home)) == 1
