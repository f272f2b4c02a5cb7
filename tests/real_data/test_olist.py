"""Olist: 8,000 leads of a marketplace, where they came from, and how long it took to win them."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline.analysis.conversions import conversion_curves, share_converted_by
from pipeline.warehouse.read import query
from tests.real_data.ring import MAPS, publish

# Leads, won, median whole days to it; 60 leads without an origin stand under Direct Traffic.
ORIGINS = {
    "Organic Search": (2_296, 271, 14),
    "Paid Search": (1_586, 195, 15),
    "Social": (1_350, 75, 30),
    "Unknown": (1_099, 179, 11),
    "Direct Traffic": (559, 70, 9),
    "Email": (493, 15, 21),
    "Referral": (284, 24, 18.5),
    "Other": (150, 4, 9),
    "Display": (118, 6, 8.5),
    "Other Publicities": (65, 3, 35),
}
RATES = (0.1180, 0.1230, 0.0556, 0.1629, 0.1252, 0.0304, 0.0845, 0.0267, 0.0508, 0.0462)


def test_the_ring_gives_the_published_time_to_conversion_and_origins(home, tmp_path, shared_data):
    folder = shared_data("olist_leads")
    leads = folder / "olist_marketing_qualified_leads_dataset.csv.gz"
    deals = folder / "olist_marketing_closed_deals_dataset.csv.gz"
    publish(
        home,
        tmp_path,
        [
            ("leads", leads, MAPS / "olist_leads.yml"),
            ("enrollments", leads, MAPS / "olist_enrollments.yml"),
            ("events", deals, MAPS / "olist_conversions.yml"),
        ],
        datetime(2018, 11, 14, 23, 59, tzinfo=UTC),
        ["origin"],
    )
    everybody = query(
        home,
        "select t.*, l.attributes ->> '$.origin' as origin "
        "from marts.time_to_conversion as t inner join marts.leads as l using (lead_id)",
    )
    won = everybody.filter("is_converted")
    assert (everybody.height, won.height) == (8_000, 842)
    early = won.filter("was_won_before_contact")
    assert early["duration_whole_days"].to_list() == [0]
    assert won["duration_whole_days"].median() == 14
    # Published with the one that was won two days too early.
    assert (won["duration_whole_days"].sum() - 2) / 842 == pytest.approx(48.44, abs=6e-3)
    by_day = [won.filter(pl.col("duration_whole_days") <= day).height for day in (7, 30, 90, 180)]
    assert by_day == [284, 555, 692, 775]

    of_2018 = pl.col("started_on") >= pl.date(2018, 1, 1)
    assert everybody.filter(~of_2018).select(pl.len(), pl.col("is_converted").sum()).row(0) == (
        2_002,
        61,
    )
    rows = everybody.filter(of_2018)
    assert (rows.height, rows["is_converted"].sum()) == (5_998, 781)
    curve = conversion_curves(rows.drop("origin"))
    published = {7: 0.04718, 14: 0.07102, 30: 0.09203, 60: 0.10620, 90: 0.11304, 150: 0.12204}
    for day, share in published.items():
        assert share_converted_by(curve, day) == pytest.approx(share, abs=5e-6)

    medians = dict(won.group_by("origin").agg(pl.col("duration_whole_days").median()).iter_rows())
    traits = query(
        home,
        "select value, count_leads, count_converted, conversion_rate_per_lead as rate "
        "from marts.recipient_breakdowns where trait = 'lead.origin'",
    )
    found = {
        row["value"]: (row["count_leads"], row["count_converted"], medians[row["value"]])
        for row in traits.to_dicts()
    }
    assert found == ORIGINS
    rates = dict(traits.select("value", "rate").iter_rows())
    assert [rates[origin] for origin in ORIGINS] == pytest.approx(RATES, abs=6e-5)
