from xml.etree import ElementTree

import pytest

from pipeline.analysis.plots import MOST_ROWS, PLOTS, plot_tables
from pipeline.analysis.tables import ANALYSES
from tests.published import publish

NOT_DRAWN = {"insights"}  # sentences


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    return plot_tables(publish(tmp_path_factory.mktemp("plots")))


def test_every_table_has_a_plot_but_the_one_of_sentences():
    assert PLOTS.keys() | {"conversion_curves"} == ANALYSES.keys() - NOT_DRAWN


def test_nothing_to_draw_is_no_picture(tmp_path):
    assert plot_tables(publish(tmp_path, facts=False)) == {}


def test_a_picture_stands_alone_and_says_what_it_shows(plots):
    assert {"experiment_comparisons", "conversion_curves", "drop_off"} <= plots.keys()
    for title, svg in plots.values():
        page = ElementTree.fromstring(str(svg))  # noqa: S314  our own text
        chart = page[-1][0]
        assert chart.get("aria-label") == title
        assert int(page.get("height")) > int(chart.get("height")) > 0
        assert "--paper" in page[0].text
        assert len([mark for mark in chart if mark.get("class") == "label"]) <= MOST_ROWS


def test_only_differences_have_signs(plots):
    def ticks(name):
        marks = ElementTree.fromstring(str(plots[name][1]))[-1][0]  # noqa: S314
        return [mark.text for mark in marks if mark.get("class") == "tick"]

    assert any(text.startswith(("+", "-")) for text in ticks("experiment_comparisons"))
    assert not any(text.startswith("+") for text in ticks("drop_off"))
