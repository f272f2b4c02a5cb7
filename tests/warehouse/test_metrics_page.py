"""docs/metrics.md says what is published."""

import re
from pathlib import Path

import pytest

from pipeline.warehouse.definitions import Definitions, read_definitions
from pipeline.warehouse.metrics_page import metrics_page
from pipeline.warehouse.read import open_warehouse

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def definitions(refreshed_home: Path) -> Definitions:
    with open_warehouse(refreshed_home) as con:
        return read_definitions(con)


def test_the_page_in_docs_is_the_page_of_the_definitions(definitions: Definitions) -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_page(definitions), (
        "run `drip refresh`, then `drip metrics --markdown > docs/metrics.md`"
    )


def test_every_example_on_the_page_names_metrics_and_dimensions_that_there_are(
    definitions: Definitions,
) -> None:
    examples = re.findall(r"^drip metric (.*)$", metrics_page(definitions), re.MULTILINE)
    assert len(examples) >= 5
    for example in examples:
        names, *options = example.split(" --")
        metrics = [definitions.find(name) for name in names.split()]
        for option in options:
            if option.startswith("by "):
                for name in option.split()[1].split(","):
                    short = name.rpartition(".")[2]
                    assert short in {one.short for one in metrics[0].dimensions}


def test_every_metric_stands_on_the_page_once(definitions: Definitions) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", metrics_page(definitions), re.MULTILINE)
    assert sorted(rows) == sorted(definitions.metrics)
