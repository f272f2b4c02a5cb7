import base64
from pathlib import Path

from pipeline.analysis.tables import ANALYSES
from pipeline.defs.analysis import TABLES, draw_plots, image


def test_every_analysis_table_is_an_asset() -> None:
    assert {spec.key.path[-1] for spec in TABLES} == ANALYSES.keys()


def test_every_analysis_asset_reads_marts_and_says_its_grain() -> None:
    for spec in TABLES:
        assert {dep.asset_key.path[0] for dep in spec.deps} == {"marts"}
        assert "Grain: " in str(spec.description)


def test_a_plot_is_metadata_that_needs_no_other_file() -> None:
    text = str(image("Who leaves", "<svg>–</svg>").value)
    title, picture = text.split("\n\n")
    data = picture.removeprefix("![Who leaves](data:image/svg+xml;base64,").removesuffix(")")
    assert title == "Who leaves"
    assert base64.b64decode(data).decode() == "<svg>–</svg>"


def test_a_picture_that_cannot_be_drawn_holds_no_numbers_back(tmp_path: Path) -> None:
    assert draw_plots(tmp_path / "absent.duckdb") == {}
