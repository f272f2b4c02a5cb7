"""Which words and phrases bring answers: texts compared within their test only.

Belongs here: slopes of features with errors clustered by test, false-discovery control, shrunken
lifts (statistics.md 2.15). Does not: reading a text (`wording`), counting (marts.message_texts).

Rates differ far more between campaigns than words can make them differ, and campaigns differ in
their words: so a rate is compared with the other texts of its own test, and words that stand in
every text of a test say nothing there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse, stats
from statsmodels.regression.linear_model import WLS

from pipeline.analysis.arm_stats import LEAST_LEADS
from pipeline.analysis.shrinkage import learn_prior, shrink
from pipeline.analysis.wording import STYLES, Kind, Wording, read_wording

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST_TESTS = 20
"""Tests in which a feature has to differ between the texts, before anything is said of it."""
DISCOVERY_RATE = 0.10
"""Of the features that are found, this share is false on average."""
PARTS = ("subject", "body")
RANDOMISED, OBSERVED = "randomised", "not causal"
_SMALLEST = 1e-12

WORDS_SCHEMA: dict[str, pl.DataType] = {
    "evidence_label": pl.String(),
    "channel": pl.String(),
    "contact_no": pl.Int64(),
    "part": pl.String(),
    "metric": pl.String(),
    "kind": pl.String(),
    "feature": pl.String(),
    "count_tests": pl.Int64(),
    "count_texts": pl.Int64(),
    "n": pl.Int64(),
    "base_rate": pl.Float64(),
    "slope": pl.Float64(),
    "standard_error": pl.Float64(),
    "p_value": pl.Float64(),
    "q_value": pl.Float64(),
    "is_found": pl.Boolean(),
    "lift": pl.Float64(),
    "lift_low": pl.Float64(),
    "lift_high": pl.Float64(),
}


@dataclass(frozen=True)
class Texts:
    """Texts of many tests, with what they brought; tests are numbered from 0."""

    test: Integers
    n: Floats
    reached: Floats

    @property
    def count_tests(self) -> int:
        """How many tests there are."""
        return int(self.test.max()) + 1 if self.test.size else 0

    @property
    def sizes(self) -> Floats:
        """Texts per test."""
        return self._sum(np.ones_like(self.n))

    @property
    def rates(self) -> Floats:
        """Mean rate of each test, every text counting alike."""
        return self._sum(self.reached / self.n) / self.sizes

    @property
    def outcomes(self) -> Floats:
        """Rate of each text less that of its test, in standard deviations of one lead there."""
        rates = self.rates
        deviation = np.sqrt(rates * (1 - rates))
        return (self.reached / self.n - rates[self.test]) / deviation[self.test]

    @property
    def membership(self) -> sparse.csr_array:
        """One row per test, one column per text, 1 where they belong together."""
        places = (self.test, np.arange(self.test.size))
        return sparse.csr_array(
            (np.ones(self.test.size), places), shape=(self.count_tests, self.test.size)
        )

    def centre(self, values: Floats) -> Floats:
        """Return values, one row per text, less their mean in their test."""
        means = np.asarray(self.membership @ values) / self.sizes[:, None]
        return np.asarray(values - means[self.test])

    def _sum(self, values: Floats) -> Floats:
        return np.bincount(self.test, values, minlength=self.count_tests).astype(np.float64)


@dataclass(frozen=True)
class Slopes:
    """What features bring, in standard deviations of one lead; one entry per feature."""

    slope: Floats
    standard_error: Floats
    count_tests: Integers
    base_rate: Floats

    @property
    def p_value(self) -> Floats:
        """Two-sided, by Student's t with tests - 1 degrees of freedom."""
        t = np.abs(self.slope) / np.maximum(self.standard_error, _SMALLEST)
        return np.asarray(2 * stats.t.sf(t, np.maximum(self.count_tests - 1, 1)), dtype=np.float64)


def within_test_slopes(texts: Texts, presence: sparse.csr_array) -> Slopes:
    """Return what the presence of each feature brings within tests, with clustered errors.

    Everything stays sparse: thousands of features of thousands of tests take a second.

    Args:
        texts: the texts; no test may be without outcomes, or consist of them.
        presence: one row per text, one column per feature, 1 where the text has it.
    """
    member = texts.membership
    counts = (member @ presence).tocsr()
    sizes = np.repeat(texts.sizes, np.diff(counts.indptr))
    spread = counts.copy()
    spread.data = counts.data - counts.data**2 / sizes
    together = (member @ presence.multiply(texts.outcomes[:, None]).tocsr()).tocsr()
    total = np.asarray(spread.sum(axis=0)).ravel()
    varies = spread.copy()
    varies.data = (spread.data > _SMALLEST).astype(float)
    together = together.multiply(varies).tocsr()
    tests = np.asarray(varies.sum(axis=0)).ravel()
    whole = np.maximum(total, _SMALLEST)
    slope = np.asarray(together.sum(axis=0)).ravel() / whole
    # Σ (together − slope · spread)², without making it dense.
    squares = (
        np.asarray(together.power(2).sum(axis=0)).ravel()
        - 2 * slope * np.asarray(together.multiply(spread).sum(axis=0)).ravel()
        + slope**2 * np.asarray(spread.power(2).sum(axis=0)).ravel()
    )
    correction = tests / np.maximum(tests - 1, 1)
    return Slopes(
        slope=slope,
        standard_error=np.sqrt(np.maximum(squares, 0.0) * correction) / whole,
        count_tests=tests.astype(np.int64),
        base_rate=np.asarray(varies.T @ texts.rates).ravel() / np.maximum(tests, 1),
    )


def style_slopes(texts: Texts, styles: Floats) -> tuple[list[int], Slopes]:
    """Return what length and style bring, all of them together in one model.

    Args:
        texts: the texts.
        styles: one row per text, one column per STYLES.

    Returns:
        Which of STYLES vary in enough tests, and their slopes.
    """
    centred = texts.centre(styles)
    varies = texts.membership @ (np.abs(centred) > _SMALLEST) > 0
    tests = varies.sum(axis=0)
    used = [place for place in range(styles.shape[1]) if tests[place] >= LEAST_TESTS]
    # A column that others make up says nothing by itself.
    while used and np.linalg.matrix_rank(centred[:, used]) < len(used):
        used.pop()
    if not used:
        nothing = np.empty(0)
        return [], Slopes(nothing, nothing, nothing.astype(np.int64), nothing)
    fitted = WLS(texts.outcomes, centred[:, used]).fit(
        cov_type="cluster", cov_kwds={"groups": texts.test}, use_t=True
    )
    rates = (varies[:, used] * texts.rates[:, None]).sum(axis=0) / tests[used]
    return used, Slopes(
        slope=np.asarray(fitted.params),
        standard_error=np.asarray(fitted.bse),
        count_tests=tests[used].astype(np.int64),
        base_rate=rates,
    )


def lift_scale(rates: Floats) -> Floats:
    """Return what turns a slope into a relative lift at these rates."""
    return np.sqrt((1 - rates) / rates)


def word_effects(message_texts: pl.DataFrame) -> pl.DataFrame:
    """Return every feature that differs in enough tests, and whether it is found to matter.

    Grain: one row per evidence, channel, place among the contacts (null = all), part of the text,
    metric, kind and feature. Of features that stand in the same texts the longest is kept: they
    are one hypothesis. Texts outside tests are compared with other versions of the same step: their
    rows say "not causal" and have no lift.

    Args:
        message_texts: marts.message_texts.
    """
    usable = message_texts.filter(pl.col("n") >= LEAST_LEADS).sort(
        "is_randomised", "channel", "metric", "comparison", "variant"
    )
    rows = [
        row
        for keys, found in usable.group_by(
            "is_randomised", "channel", "metric", maintain_order=True
        )
        for contact_no, part, texts in _scopes(found)
        for row in _effects(dict(zip(_KEYS, (*keys, contact_no, part), strict=True)), texts)
    ]
    return pl.DataFrame(rows, schema=WORDS_SCHEMA, orient="row")


_KEYS = ("is_randomised", "channel", "metric", "contact_no", "part")


def _scopes(found: pl.DataFrame) -> Iterator[tuple[int | None, str, pl.DataFrame]]:
    """Yield the texts of all contacts, then of each place among them, as far as they can do."""
    numbers: list[int | None] = [None, *found["contact_no"].drop_nulls().unique().sort()]
    for number in numbers:
        of_number = found if number is None else found.filter(pl.col("contact_no") == number)
        for part in PARTS:
            texts = _comparable(of_number.drop_nulls(part), part)
            if texts["comparison"].n_unique() >= LEAST_TESTS:
                yield number, part, texts


def _comparable(texts: pl.DataFrame, part: str) -> pl.DataFrame:
    """Return the texts of tests in which the texts differ and outcomes can."""
    reached = pl.col("count_reached").sum().over("comparison")
    return texts.filter(
        pl.col(part).n_unique().over("comparison") > 1,
        reached > 0,
        reached < pl.col("n").sum().over("comparison"),
    )


def _effects(keys: dict[str, Any], frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    texts = Texts(
        test=frame["comparison"].rank("dense").to_numpy().astype(np.int64) - 1,
        n=frame["n"].to_numpy().astype(float),
        reached=frame["count_reached"].to_numpy().astype(float),
    )
    wordings = [read_wording(text) for text in frame[keys["part"]]]
    is_randomised = keys.pop("is_randomised")
    common = {**keys, "evidence_label": RANDOMISED if is_randomised else OBSERVED}
    features, presence = feature_matrix(texts, wordings)
    styles = np.array([wording.style for wording in wordings])
    used, of_styles = style_slopes(texts, styles)
    families = (
        (features, presence, within_test_slopes(texts, presence)),
        (
            [("style", STYLES[place]) for place in used],
            sparse.csr_array(styles[:, used]),
            of_styles,
        ),
    )
    for names, present, slopes in families:
        has = (present != 0).astype(float)
        counts, people = (has.sum(axis=0), has.T @ texts.n)
        found = zip(names, counts, people, _judge(slopes, is_randomised=is_randomised), strict=True)
        for (kind, name), count, n, judged in found:
            yield {
                **common,
                "kind": kind,
                "feature": name,
                "count_texts": int(count),
                "n": int(n),
                **judged,
            }


def feature_matrix(
    texts: Texts, wordings: Sequence[Wording]
) -> tuple[list[tuple[Kind, str]], sparse.csr_array]:
    """Return the features that differ in enough tests, and which text has which.

    A feature that stands in all texts of a test is left out there. Of features that stand in the
    same texts one is kept: a phrase rather than a place, the longest, then by the alphabet.
    """
    rows: dict[tuple[Kind, str], list[int]] = {}
    for row, wording in enumerate(wordings):
        for feature in wording.features:
            rows.setdefault(feature, []).append(row)
    kept: dict[tuple[int, ...], tuple[Kind, str]] = {}
    common = [feature for feature, members in rows.items() if len(members) >= LEAST_TESTS]
    for feature in sorted(common, key=_preference):
        tests, counts = np.unique(texts.test[rows[feature]], return_counts=True)
        differing = set(tests[counts < texts.sizes[tests]].tolist())
        if len(differing) >= LEAST_TESTS:
            differ = tuple(row for row in rows[feature] if texts.test[row] in differing)
            kept.setdefault(differ, feature)
    places = [(row, column) for column, members in enumerate(kept) for row in members]
    at = np.array(places, dtype=np.int64).reshape(-1, 2)
    shape = (len(wordings), len(kept))
    matrix = sparse.csr_array((np.ones(len(at)), (at[:, 0], at[:, 1])), shape=shape)
    return list(kept.values()), matrix


def _preference(feature: tuple[Kind, str]) -> tuple[bool, int, str]:
    kind, name = feature
    return kind != "phrase", -name.count(" "), name


def _judge(slopes: Slopes, *, is_randomised: bool) -> list[dict[str, Any]]:
    """Return what is said of each feature of one family: found or not, and its honest lift."""
    if not slopes.slope.size:
        return []
    p_values = np.clip(slopes.p_value, 0, 1)
    q_values = stats.false_discovery_control(p_values)
    columns: dict[str, Any] = {
        "count_tests": slopes.count_tests,
        "base_rate": slopes.base_rate,
        "slope": slopes.slope,
        "standard_error": slopes.standard_error,
        "p_value": p_values,
        "q_value": q_values,
        "is_found": q_values <= DISCOVERY_RATE,
    }
    if is_randomised:
        scale = lift_scale(slopes.base_rate)
        raw = list(zip(slopes.slope * scale, slopes.standard_error * scale, strict=True))
        prior = learn_prior(*(list(values) for values in zip(*raw, strict=True)))
        shrunk = [shrink(float(lift), float(error), prior.spread) for lift, error in raw]
        columns |= {
            "lift": [one.effect for one in shrunk],
            "lift_low": [one.low for one in shrunk],
            "lift_high": [one.high for one in shrunk],
        }
    return pl.DataFrame(columns).to_dicts()
