"""A published warehouse without a ledger: the marts' contracts, filled from published.sql.

For tests of what reads a warehouse. The columns come from the models' YAML, so a mart that loses a
column breaks them; that the models fill those columns is tested with the models.
"""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
from ruamel.yaml import YAML

from pipeline.analysis.tables import ANALYSES
from pipeline.ledger.statements import run_file
from pipeline.warehouse.paths import warehouse_path

ROOT = Path(__file__).resolve().parent.parent
MARTS = ROOT / "dbt_project" / "models" / "marts"
META = ROOT / "pipeline" / "warehouse" / "meta.sql"
FACTS = Path(__file__).with_name("published.sql")
NOW = datetime(2026, 11, 16, 9, tzinfo=ZoneInfo("Europe/London"))
NO_LOOKS = pl.DataFrame(
    schema={
        "experiment_id": pl.String,
        "looked_on": pl.Date,
        "state": pl.String,
        "winner": pl.String,
        "evidence": pl.String,
    }
)


def create_marts(con: duckdb.DuckDBPyConnection) -> None:
    """Create every mart with the columns of its contract."""
    con.execute("create schema marts")
    for path in sorted(MARTS.glob("*.yml")):
        for model in YAML(typ="safe").load(path)["models"]:
            columns = ", ".join(f'"{c["name"]}" {c["data_type"]}' for c in model["columns"])
            con.execute(f"create table marts.{model['name']} ({columns})")


def create_meta(con: duckdb.DuckDBPyConnection, refresh_id: str) -> None:
    """Say which refresh it is, of a ledger without rows."""
    con.execute("attach ':memory:' as ledger")
    for table in ("leads", "enrollments", "sends", "experiments"):
        con.execute(f"create table ledger.main.{table} (i bigint)")
    run_file(
        con,
        META,
        refresh_id=refresh_id,
        now=NOW,
        version="0.1.0",
        timezone="Europe/London",
        currency="EUR",
        attribution="last",
    )
    con.execute("detach ledger")


def publish(home: Path, *, refresh_id: str = "refresh-of-the-test", facts: bool = True) -> Path:
    """Publish a warehouse in this home, by rename as a refresh does; with or without facts."""
    home.mkdir(parents=True, exist_ok=True)
    fresh = home / "fresh.duckdb"
    with duckdb.connect(str(fresh)) as con:
        con.execute("set TimeZone = 'UTC'")
        create_meta(con, refresh_id)
        create_marts(con)
        if facts:
            con.execute(FACTS.read_text(encoding="utf-8"))
        for write in ANALYSES.values():
            write(con, NOW, NO_LOOKS)
    return fresh.replace(warehouse_path(home))
