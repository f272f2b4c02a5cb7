"""What was learned, in pieces for the review: insights in words, words that bring answers.

Belongs here: short queries on what the analyses published, and how they are told. Does not: finding
insights (`insights`), judging words (`words`), pages (`review`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from pipeline.analysis.pieces import Query
from pipeline.analysis.words import LEAST_TESTS, OBSERVED, RANDOMISED

TOPICS = {
    "changed": "What changed",
    "bottleneck": "Where the bottleneck is",
    "try": "What to try next",
}
MOST_SHOWN = 12

INSIGHTS = """
select topic, sentence, evidence_label, sql from analysis.insights order by rank
"""
WORDS = """
select
    channel, part, metric, kind, feature, count_tests, n, slope, lift, lift_low, lift_high, q_value,
    evidence_label
from analysis.word_effects
where is_found and contact_no is null
order by evidence_label = 'not causal', channel, part desc, metric, q_value, feature
"""
COVERAGE = """
with differing as (
    select
        channel, part, comparison, count(distinct wording) > 1 as is_differing
    from marts.message_texts
    unpivot (wording for part in (subject, body))
    where is_randomised and metric = 'replied'
    group by channel, part, comparison
)

select channel, part, count(*) filter (where is_differing) as count_tests
from differing
group by channel, part
order by channel, part desc
"""


@dataclass(frozen=True)
class InsightList:
    """The sentences of one topic, each with its query."""

    title: str
    sentences: tuple[tuple[str, str, Query], ...]


@dataclass(frozen=True)
class WordCard:
    """What one part of one channel has taught, or how many tests are still to come."""

    title: str
    sentence: str
    is_causal: bool
    rows: tuple[dict[str, Any], ...]
    queries: tuple[Query, ...]


def insight_lists(con: duckdb.DuckDBPyConnection) -> list[InsightList]:
    """Return the sentences by topic, as far as there are any."""
    rows = Query(INSIGHTS).rows(con)
    lists = [
        InsightList(
            title,
            tuple(
                (row["sentence"], row["evidence_label"], Query(row["sql"]))
                for row in rows
                if row["topic"] == topic
            ),
        )
        for topic, title in TOPICS.items()
    ]
    return [found for found in lists if found.sentences]


def word_cards(con: duckdb.DuckDBPyConnection) -> list[WordCard]:
    """Return what words have brought, per channel and part of the text that tests have varied."""
    of_words, of_tests = Query(WORDS), Query(COVERAGE)
    found = of_words.rows(con)
    cards = [
        _card(row, [one for one in found if _is_of(one, row, RANDOMISED)], (of_tests, of_words))
        for row in of_tests.rows(con)
        if row["count_tests"]
    ]
    observed = [row for row in found if row["evidence_label"] == OBSERVED]
    if observed:
        cards.append(
            WordCard(
                title="Outside tests: not causal",
                sentence="Versions of a step, one after the other: their leads and times differ, "
                "too. A reason to test, no effect.",
                is_causal=False,
                rows=tuple(_row(row) for row in observed[:MOST_SHOWN]),
                queries=(of_words,),
            )
        )
    return cards


def _is_of(one: Mapping[str, Any], row: Mapping[str, Any], evidence: str) -> bool:
    return (one["channel"], one["part"], one["evidence_label"]) == (
        row["channel"], row["part"], evidence
    )  # fmt: skip


def _card(
    row: Mapping[str, Any], found: list[dict[str, Any]], queries: tuple[Query, ...]
) -> WordCard:
    count = row["count_tests"]
    plural = "subjects" if row["part"] == "subject" else "texts"
    tests = f"{count} test{'' if count == 1 else 's'}"
    if count < LEAST_TESTS:
        sentence = f"Not enough tests yet: {count} of {LEAST_TESTS} with different {plural}."
    elif not found:
        sentence = f"{tests} with different {plural}, and no word or style stands out from chance."
    else:
        sentence = (
            f"From {tests} with different {plural}, compared within each test only. Of what is "
            "listed one in ten is false on average; a lift is what to expect, not what was seen."
        )
    return WordCard(
        title=f"{row['channel']}, {row['part']}",
        sentence=sentence,
        is_causal=True,
        rows=tuple(_row(one) for one in found[:MOST_SHOWN]),
        queries=queries,
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a feature with its lift in words; without lots only its direction."""
    if row["lift"] is None:
        return {**row, "found": "goes with more" if row["slope"] > 0 else "goes with less"}
    per = {"characters": " per character", "words": " per word"}.get(row["feature"], "")
    lift, low, high = (f"{100 * row[name]:+.1f}" for name in ("lift", "lift_low", "lift_high"))
    return {**row, "found": f"{lift} % ({low} to {high}){per}"}
