"""Tables of leads without times: who they are, and which of them convert. Nobody drew lots here."""

from datetime import UTC, datetime

import pytest

from pipeline.warehouse.read import query
from tests.real_data.ring import publish

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD = """
name: calls
file: {{delimiter: "{delimiter}"}}
row_number: external_id
"""
LEADS = """
columns: {{ {columns} }}
constants: {{source: table, created_at: 2026-01-01T00:00:00Z}}
"""
ANSWERS = """
where: {where}
constants: {{kind: converted, name: "yes", occurred_at: 2026-02-01T00:00:00Z}}
"""


def breakdowns(home, tmp_path, source, delimiter, columns, where):
    """Return leads and rate of each value of each trait, after an import of the table."""
    head = HEAD.format(delimiter=delimiter)
    traits = ", ".join(f"attributes.{name}: {column}" for name, column in columns.items())
    maps = {
        "leads": head + LEADS.format(columns=traits),
        "events": head + ANSWERS.format(where=where),
    }
    imports = []
    for kind, text in maps.items():
        path = tmp_path / f"{kind}.yml"
        path.write_text(text, encoding="utf-8")
        imports.append((kind, source, path))
    publish(home, tmp_path, imports, NOW, columns)
    rows = query(
        home,
        "select trait, value, count_leads, count_converted, conversion_rate_per_lead as rate "
        "from marts.recipient_breakdowns",
    ).to_dicts()
    return {(row["trait"], row["value"]): row for row in rows}


@pytest.mark.prove
def test_the_calls_of_the_bank_by_weekday_channel_month_and_number(home, tmp_path, shared_data):
    found = breakdowns(
        home,
        tmp_path,
        shared_data("uci_bank_marketing") / "bank-additional-full.csv.gz",
        ";",
        {"weekday": "day_of_week", "channel": "contact", "month": "month", "calls": "campaign"},
        "y = 'yes'",
    )
    for trait, values in {
        "weekday": {
            "mon": (8_514, 0.0995),
            "tue": (8_090, 0.1178),
            "wed": (8_134, 0.1167),
            "thu": (8_623, 0.1212),
            "fri": (7_827, 0.1081),
        },
        "channel": {"cellular": (26_144, 0.1474), "telephone": (15_044, 0.0523)},
        "month": {"mar": (546, 0.5055), "dec": (182, 0.4890), "may": (13_769, 0.0643)},
        "calls": {
            "1": (17_642, 0.1304),
            "2": (10_570, 0.1146),
            "3": (5_341, 0.1075),
            "4": (2_651, 0.0939),
            "5": (1_599, 0.0750),
            "6": (979, 0.0766),
            "7": (629, 0.0604),
        },
    }.items():
        for value, (n, rate) in values.items():
            row = found[f"lead.{trait}", value]
            assert row["count_leads"] == n
            assert row["rate"] == pytest.approx(rate, abs=6e-5)
    weekdays = [row for (trait, _), row in found.items() if trait == "lead.weekday"]
    assert sum(row["count_leads"] for row in weekdays) == 41_188
    assert sum(row["count_converted"] for row in weekdays) == 4_640
    few = {str(calls) for calls in range(1, 8)}
    many = [r for (trait, value), r in found.items() if trait == "lead.calls" and value not in few]
    assert sum(row["count_leads"] for row in many) == 1_777
    rate = sum(row["count_converted"] for row in many) / 1_777
    assert rate == pytest.approx(0.0411, abs=6e-5)


@pytest.mark.prove
def test_the_leads_of_an_online_school_by_source_and_last_activity(home, tmp_path, shared_data):
    found = breakdowns(
        home,
        tmp_path,
        shared_data("x_education_leads") / "leads.csv.gz",
        ",",
        {"came_by": "Lead Source", "activity": "Last Activity", "no_email": "Do Not Email"},
        "Converted = 1",
    )
    for trait, values in {
        "came_by": {
            "Google": (2_868, 0.3999),
            "Direct Traffic": (2_543, 0.3217),
            "Olark Chat": (1_755, 0.2553),
            "Organic Search": (1_154, 0.3778),
            "Reference": (534, 0.9176),
            "Welingak Website": (142, 0.9859),
        },
        "activity": {
            "Email Opened": (3_437, 0.3646),
            "SMS Sent": (2_745, 0.6291),
            "Olark Chat Conversation": (973, 0.0863),
            "Email Bounced": (326, 0.0798),
            "Email Link Clicked": (267, 0.2734),
        },
    }.items():
        for value, (n, rate) in values.items():
            row = found[f"lead.{trait}", value]
            assert row["count_leads"] == n
            assert row["rate"] == pytest.approx(rate, abs=6e-5)
    assert found["lead.no_email", "Yes"]["count_leads"] == 734
    activities = [row for (trait, _), row in found.items() if trait == "lead.activity"]
    assert sum(row["count_leads"] for row in activities) == 9_240
    assert sum(row["count_converted"] for row in activities) == 3_561
