"""Real data through the whole ring: import, ingest, refresh, and the published numbers of their sources."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.analysis.conversions import conversion_curves, share_converted_by
from pipeline.analysis.refresh import refresh
from pipeline.engine.intake import take_in
from pipeline.inbound.importers import import_file
from pipeline.sequences.compile import load_workspace
from pipeline.settings import Settings
from pipeline.warehouse.read import query

MAPS = Path(__file__).parents[1] / "examples" / "import"
WORKSPACE = """
name: Real data
timezone: {zone}
currency: USD
address: 1 Road
attributes: [origin, area, recency]
senders: {{sales: {{channel: email, address: "Ann <ann@example.com>"}}}}
goals: {{sale: "import:hillstrom", won: "import:olist"}}
"""


def publish(home, tmp_path, imports, now, zone="UTC"):
    """Import the files, take them in, and publish; return the home."""
    folder = tmp_path / "sequences"
    folder.mkdir()
    (folder / "workspace.yml").write_text(WORKSPACE.format(zone=zone))
    settings = Settings(home=home, sequences=folder)
    for kind, path, map_name in imports:
        report = import_file(kind, path, MAPS / f"{map_name}.yml", home, now)
        assert report.rejected == 0
    taken = take_in(settings, now)
    assert taken["rejected"] == []
    refresh(home, settings, now, workspace=load_workspace(folder))
    return settings


def test_hillstrom_gives_its_published_counts_and_its_winner(home, tmp_path, shared_data):
    source = shared_data("hillstrom_email") / "hillstrom.csv.gz"
    publish(
        home,
        tmp_path,
        [
            ("leads", source, "hillstrom_leads"),
            ("enrollments", source, "hillstrom_enrollments"),
            ("events", source, "hillstrom_visits"),
            ("events", source, "hillstrom_conversions"),
        ],
        datetime(2008, 5, 1, 12, tzinfo=UTC),
    )
    arms = query(
        home,
        "select arm, metric, sum(n_assigned)::bigint as n, sum(sum)::double as total "
        "from marts.experiment_arms where experiment_id = 'hillstrom_mail' group by all",
    )
    found = {(row["arm"], row["metric"]): (row["n"], row["total"]) for row in arms.to_dicts()}
    assert found["mens", "custom(visit)"] == (21_307, 3_894)
    assert found["womens", "custom(visit)"] == (21_387, 3_238)
    assert found["no_email", "custom(visit)"] == (21_306, 2_262)

    assert found["mens", "goal(sale)"] == (21_307, 267)
    assert found["womens", "goal(sale)"] == (21_387, 189)
    assert found["no_email", "goal(sale)"] == (21_306, 122)
    spend = {arm: total for (arm, metric), (_, total) in found.items() if metric == "revenue(sale)"}
    assert spend == pytest.approx({"mens": 30_311.69, "womens": 23_038.11, "no_email": 13_908.33})

    decision = query(home, "select * from analysis.experiment_decisions").to_dicts()
    assert [(d["state"], d["winner"]) for d in decision] == [("winner", "mens")]
    assert decision[0]["sample_ratio_p"] == pytest.approx(0.9037, abs=5e-5)
    pairs = query(
        home,
        "select arm, baseline, interval_low from analysis.experiment_comparisons "
        "where metric = 'custom(visit)' and baseline = 'no_email' order by arm",
    ).to_dicts()
    assert [pair["arm"] for pair in pairs] == ["mens", "womens"]
    assert all(pair["interval_low"] > 0 for pair in pairs)


def test_olist_gives_the_published_time_to_conversion(home, tmp_path, shared_data):
    folder = shared_data("olist_leads")
    leads = folder / "olist_marketing_qualified_leads_dataset.csv.gz"
    deals = folder / "olist_marketing_closed_deals_dataset.csv.gz"
    publish(
        home,
        tmp_path,
        [
            ("leads", leads, "olist_leads"),
            ("enrollments", leads, "olist_enrollments"),
            ("events", deals, "olist_conversions"),
        ],
        datetime(2018, 11, 14, 23, 59, tzinfo=UTC),
    )
    counts = query(
        home,
        "select count(*) as n, count(*) filter (where is_converted) as won, "
        "count(*) filter (where was_won_before_contact) as before from marts.time_to_conversion",
    ).to_dicts()
    assert counts == [{"n": 8_000, "won": 842, "before": 1}]
    early = query(
        home,
        "select duration_whole_days as day from marts.time_to_conversion where was_won_before_contact",
    )
    assert early["day"].to_list() == [0]

    rows = query(
        home,
        "select * from marts.time_to_conversion where started_at >= timestamptz '2018-01-01 00:00:00+00'",
    )
    assert rows.height == 5_998
    curve = conversion_curves(rows)
    published = {7: 0.04718, 14: 0.07102, 30: 0.09203, 60: 0.10620, 90: 0.11304, 150: 0.12204}
    for day, share in published.items():
        assert share_converted_by(curve, day) == pytest.approx(share, abs=5e-6)
