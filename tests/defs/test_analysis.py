from pipeline.analysis.tables import ANALYSES
from pipeline.defs.analysis import TABLES


def test_every_analysis_table_is_an_asset() -> None:
    assert {spec.key.path[-1] for spec in TABLES} == ANALYSES.keys()


def test_every_analysis_asset_reads_marts_and_says_its_grain() -> None:
    for spec in TABLES:
        assert {dep.asset_key.path[0] for dep in spec.deps} == {"marts"}
        assert "Grain: " in str(spec.description)
