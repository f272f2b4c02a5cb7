from pathlib import Path

import pytest

from pipeline.inbound.import_maps import KINDS, load_import_map, unknown
from pipeline.settings import DripError

EXAMPLES = Path(__file__).parents[2] / "examples" / "import"


def write(folder: Path, text: str) -> Path:
    path = folder / "crm.yml"
    path.write_text(text)
    return path


def kind_of(path: Path) -> str:
    last = path.stem.split("_")[-1]
    return last if last in KINDS else "events"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.stem)
def test_the_examples_are_good_maps(path: Path) -> None:
    assert load_import_map(path, kind_of(path)).name == path.stem.split("_")[0]


def test_a_map_says_which_column_is_which_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "timezone: Europe/Berlin\n"
        "file: {delimiter: ';', encoding: latin-1, header: false}\n"
        "where: amount > 5 and not state = 'x'\n"
        "columns:\n"
        "  email: E-Mail\n"
        "  occurred_at: {column: day, format: '%d.%m.%Y'}\n"
        "  kind: {column: what, map: {won: converted, 1: custom}}\n"
        "constants: {name: sale, currency: EUR}\n",
    )
    found = load_import_map(path, "events")
    assert (found.name, found.zone, found.delimiter, found.encoding, found.has_header) == (
        "crm",
        "Europe/Berlin",
        ";",
        "latin-1",
        False,
    )
    assert found.columns_used() == {"E-Mail": 5, "day": 6, "what": 7, "amount": 3, "state": 3}
    assert found.columns[2].values == {"won": "converted", "1": "custom"}
    assert load_import_map(path, "events", "other").name == "other"


def test_a_constant_date_is_one_of_the_maps_zone(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "timezone: Europe/Berlin\nrow_number: external_id\n"
        "constants: {sequence_id: s, enrolled_at: 2024-07-01, ended_at: 2024-07-02T00:00:00Z}\n",
    )
    constants = load_import_map(path, "enrollments").constants
    assert constants["enrolled_at"] == "2024-06-30T22:00:00.000000Z"
    assert constants["ended_at"] == "2024-07-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("leads", "columns: {email: [}\n", "crm.yml:1: this is no YAML"),
        ("leads", "- email\n", "crm.yml:1: a map is a block"),
        ("leads", "columnz:\n  email: mail\n", "crm.yml:1: The map has the field `columnz`"),
        ("leads", "columns:\n  email: m\n  adr: a\n", "crm.yml:3: The field of leads `adr`"),
        ("leads", "columns:\n  mai_l: mail\n", "mai_l` is unknown"),
        ("leads", "columns: mail\n", "`columns` must be a block"),
        ("leads", "columns:\n  email: {columnz: mail}\n", "crm.yml:2: `email` is a column's name"),
        ("leads", "columns:\n  email: {column: m, fmt: x}\n", "option `fmt` is unknown"),
        ("leads", "columns:\n  email: {column: m, type: int}\n", "`int` is unknown"),
        ("leads", "columns:\n  email: {column: m, map: 5}\n", "`map` of `email`"),
        ("leads", "columns:\n  first_name: n\n", "need one of external_id, email, phone"),
        ("leads", "name: a/b\ncolumns:\n  email: m\n", "The name `a/b`"),
        ("leads", "timezone: Mars\ncolumns:\n  email: m\n", "crm.yml:1: `Mars` is no time zone"),
        ("leads", "columns: {email: m}\nconstants:\n  created_at: x\n", "crm.yml:3: `created_at`"),
        ("events", "columns: {email: m, occurred_at: d}\n", "events need `kind`"),
        ("events", "columns: {kind: m, occurred_at: d}\n", "or `row_number:`"),
        ("enrollments", "columns: {email: m, enrolled_at: d}\n", "need `sequence_id`"),
        ("leads", "columns: {email: m}\nwhere: a = \n", "crm.yml:2: `where` cannot be read"),
        ("leads", "columns: {email: m}\nwhere: a = (select 1)\n", "is more than that"),
        ("leads", "columns: {email: m}\nwhere: getenv('X') = 'a'\n", "is more than that"),
        ("leads", "columns: {email: m}\nexperiment: {metric: replied}\n", "needs `experiment_id`"),
        (
            "leads",
            "columns: {email: m}\nexperiment:\n  experiment_id: e\n  metric: m\n  window: 5\n"
            "  arms: {a: {share: 1}}\n",
            "crm.yml:5: `window` is a time like",
        ),
        (
            "leads",
            "columns: {email: m}\nexperiment:\n  experiment_id: e\n  metric: m\n  window: 5d\n"
            "  arms:\n    a: {role: control, share: third}\n",
            "crm.yml:7: The arm a needs a `share`",
        ),
    ],
)  # fmt: skip
def test_a_wrong_map_is_refused_with_line_and_advice(
    tmp_path: Path, kind: str, text: str, words: str
) -> None:
    with pytest.raises(DripError) as caught:
        load_import_map(write(tmp_path, text), kind)
    assert words in str(caught.value)


def test_a_map_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DripError, match="does not exist"):
        load_import_map(tmp_path / "none.yml", "leads")
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(DripError, match="not UTF-8"):
        load_import_map(tmp_path / "bytes.yml", "leads")
    with pytest.raises(DripError, match="did you mean `leads`"):
        load_import_map(tmp_path / "none.yml", "lead")


def test_an_unknown_word_lists_what_there_is_when_nothing_is_near() -> None:
    assert unknown("xyz", ("email", "phone")) == "`xyz` is unknown: there are: email, phone."
