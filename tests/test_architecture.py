"""The rules of the house that a machine can check. Every rule has an example that breaks it."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pipeline"

# A room imports only from itself and from the rooms above it; the shell imports from all.
ROOMS = (
    "settings",
    "sequences",
    "ledger",
    "messages",
    "channels",
    "inbound",
    "warehouse",
    "analysis",
    "engine",
    "simulation",
)
SHELL = ("cli", "definitions", "defs")
VAGUE = {"utils", "util", "helpers", "helper", "common", "lib", "misc", "manager", "service"}

HIDDEN_TIME = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime"},
}
SQL_TIME = re.compile(
    r"\b(now|today|get_current_\w+|transaction_timestamp)\s*\(\s*\)"
    r"|\bcurrent_(timestamp|date|time)\b|\b(random|uuid|uuidv4|uuidv7|gen_random_uuid)\s*\(\s*\)",
    re.IGNORECASE,
)
SQL_TEXT = re.compile(
    r"\b(select|insert|update|delete)\b.*\b(from|into|set)\b", re.IGNORECASE | re.DOTALL
)
UNPUBLISHED = re.compile(r"\b(?:from|join)\s+(?:(?:ledger|staging|intermediate)\.|stg_|int_)\w*")
REFERENCE = re.compile(r"\{\{\s*ref\(\s*['\"](\w+)['\"]\s*\)")
MACHINE = re.compile(r"(?<![\w.<}~-])/(?:work|root|home|Users|opt)/[\w.]+")
INDEX_HOSTS = re.compile(
    "|".join((r"py" + r"pi\.org", "python" + "hosted", "npmjs" + r"\.(?:org|com)"))
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(name: str) -> str:
    return name.split("/")[1].removesuffix(".py")


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    listed = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return [path for path in listed if path.is_file()]


def imported(name: str, tree: ast.AST) -> Iterator[str]:
    """List what a module imports, by full name, wherever in the module it does so."""
    package = name.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).rstrip(".")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def wrong_layers(name: str, tree: ast.AST) -> list[str]:
    room = room_of(name)
    if room in {*SHELL, "__init__"}:
        return []
    if room not in ROOMS:
        return [f"{name}: {room} is no room of the house"]
    allowed = ROOMS[: ROOMS.index(room) + 1]
    used = {full.split(".")[1] for full in imported(name, tree) if full.startswith("pipeline.")}
    return [f"{name} imports pipeline.{other}" for other in sorted(used.difference(allowed))]


def dagster_outside_its_place(name: str, tree: ast.AST) -> list[str]:
    if room_of(name) in {"definitions", "defs"}:
        return []
    return [f"{name} imports {full}" for full in imported(name, tree) if full.startswith("dagster")]


def environment_reads(name: str, tree: ast.AST) -> list[str]:
    if room_of(name) == "settings":
        return []
    words = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    found = [
        f"{name}:{node.lineno} os.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in words
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    wanted = {f"os.{word}" for word in words}
    return found + [f"{name} imports {full}" for full in imported(name, tree) if full in wanted]


def hidden_time(name: str, tree: ast.AST) -> list[str]:
    if room_of(name) == "settings":
        return []
    found = []
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)
        ):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        if node.attr in HIDDEN_TIME.get(owner, ()):
            found.append(f"{name}:{node.lineno} {owner}.{node.attr}")
    wanted = {"time.time", "time.time_ns"}
    return found + [f"{name} imports {full}" for full in imported(name, tree) if full in wanted]


def hidden_randomness(name: str, tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        seeded = bool(node.args or node.keywords)
        unseeded = call.split(".")[-1] in {"Random", "default_rng", "RandomState"} and not seeded
        of_module = re.fullmatch(r"(np\.|numpy\.)?random\.[a-z_]+", call)
        if unseeded or (of_module and not call.endswith("default_rng")):
            found.append(f"{name}:{node.lineno} {call}")
    return found


def time_in_sql(name: str, tree: ast.AST) -> list[str]:
    return [
        f"{name}:{node.lineno} {hit.group()}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if SQL_TEXT.search(node.value)
        for hit in SQL_TIME.finditer(node.value)
    ]


def missing_boundary(name: str, tree: ast.AST) -> list[str]:
    assert isinstance(tree, ast.Module)
    lines = [line for line in (ast.get_docstring(tree) or "").splitlines() if line.strip()]
    if len(lines) < 2:
        return [f"{name}: say what belongs here, and what does not and where that goes"]
    return [f"{name}: {len(lines)} lines of docstring, 6 are enough"] if len(lines) > 6 else []


def unpublished_tables(name: str, tree: ast.AST) -> list[str]:
    if room_of(name) != "analysis" and not name.startswith("notebooks/"):
        return []
    return [
        f"{name}:{node.lineno} {hit.group()}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for hit in UNPUBLISHED.finditer(node.value)
    ]


Rule = Callable[[str, ast.AST], list[str]]
RULES: tuple[Rule, ...] = (
    wrong_layers,
    dagster_outside_its_place,
    environment_reads,
    hidden_time,
    hidden_randomness,
    time_in_sql,
    missing_boundary,
    unpublished_tables,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_module_breaks(rule: Rule) -> None:
    broken = [
        line
        for path in modules()
        for line in rule(name_of(path), ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (wrong_layers, "pipeline/ledger/store.py", "from pipeline.engine.plan import plan"),
        (wrong_layers, "pipeline/ledger/store.py", "from pipeline import engine"),
        (wrong_layers, "pipeline/ledger/store.py", "def f():\n    import pipeline.cli"),
        (wrong_layers, "pipeline/ledger/store.py", "from ..engine import plan"),
        (wrong_layers, "pipeline/attic/box.py", ""),
        (dagster_outside_its_place, "pipeline/engine/tick.py", "import dagster as dg"),
        (dagster_outside_its_place, "pipeline/cli/app.py", "from dagster_dbt import DbtProject"),
        (environment_reads, "pipeline/cli/app.py", "import os\nos.environ['A']"),
        (environment_reads, "pipeline/cli/app.py", "from os import getenv"),
        (hidden_time, "pipeline/engine/tick.py", "datetime.now(UTC)"),
        (hidden_time, "pipeline/engine/tick.py", "datetime.datetime.utcnow()"),
        (hidden_time, "pipeline/engine/tick.py", "import time\ntime.time()"),
        (hidden_time, "pipeline/engine/tick.py", "clock = date.today"),
        (hidden_randomness, "pipeline/simulation/market.py", "random.random()"),
        (hidden_randomness, "pipeline/simulation/market.py", "np.random.default_rng()"),
        (hidden_randomness, "pipeline/simulation/market.py", "np.random.normal(0, 1)"),
        (hidden_randomness, "pipeline/simulation/market.py", "random.Random()"),
        (time_in_sql, "pipeline/engine/plan.py", "'select now() from sends'"),
        (time_in_sql, "pipeline/engine/plan.py", "'insert into t select current_timestamp'"),
        (missing_boundary, "pipeline/engine/plan.py", "'''Plan.'''"),
        (missing_boundary, "pipeline/engine/plan.py", "'''" + "line\n" * 7 + "'''"),
        (unpublished_tables, "pipeline/analysis/read.py", "'select 1 from ledger.sends'"),
        (
            unpublished_tables,
            "notebooks/01_funnel.py",
            "'select 1 from a join stg_sends using (i)'",
        ),
    ],
)
def test_each_rule_finds_what_breaks_it(rule: Rule, name: str, source: str) -> None:
    assert rule(name, ast.parse(source))


def test_what_the_rules_allow_stays_allowed() -> None:
    source = '''"""Plan.

    Belongs here: planning.
    """
import time
import numpy as np
from pipeline.ledger.store import open_ledger
from . import limits

def plan(now, seed):
    rng = np.random.default_rng(seed)
    began = time.monotonic()
    return rng.random(), began, now.time(), "select $now from sends"
'''
    for rule in RULES:
        assert rule("pipeline/engine/plan.py", ast.parse(source)) == []


def test_every_module_has_its_test_file() -> None:
    missing = [
        f"{name_of(path)} wants {name_of(test)}"
        for path in modules()
        if path.name not in {"__init__.py", "__main__.py"}
        for test in [ROOT / "tests" / path.relative_to(PACKAGE).parent / f"test_{path.name}"]
        if not test.is_file()
    ]
    assert not missing, "\n" + "\n".join(missing)


def test_no_module_is_a_drawer() -> None:
    assert [
        name_of(path) for path in modules() if path.stem in VAGUE or path.parent.name in VAGUE
    ] == []


def test_notebooks_read_published_tables_only() -> None:
    broken = [
        line
        for path in sorted((ROOT / "notebooks").glob("*.py"))
        for line in unpublished_tables(name_of(path), ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert broken == []


def without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*|\{#.*?#\}", "", sql, flags=re.DOTALL)


def test_no_sql_file_asks_for_the_time_or_for_chance() -> None:
    files = [*PACKAGE.rglob("*.sql"), *(ROOT / "dbt_project" / "models").rglob("*.sql")]
    broken = [
        f"{name_of(path)}: {hit.group()}"
        for path in sorted(files)
        for hit in SQL_TIME.finditer(without_comments(path.read_text(encoding="utf-8")))
    ]
    assert not broken, "\n" + "\n".join(broken)


# A layer of the warehouse reads only from these; sources are for staging.
READS = {
    "staging": {"staging"},
    "intermediate": {"staging", "intermediate"},
    "marts": {"staging", "intermediate"},
}


def model_layers() -> dict[str, tuple[str, str]]:
    """Map a model's name to its layer and its text."""
    models = ROOT / "dbt_project" / "models"
    return {
        path.stem: (path.relative_to(models).parts[0], path.read_text(encoding="utf-8"))
        for path in models.rglob("*.sql")
    }


def test_every_layer_of_the_warehouse_reads_only_from_the_layers_before_it() -> None:
    layers = model_layers()
    broken = []
    for model, (layer, text) in sorted(layers.items()):
        code = without_comments(text)
        if layer != "staging" and re.search(r"\bsource\(", code):
            broken.append(f"{layer}/{model} reads a source")
        read = {layers[other][0] for other in REFERENCE.findall(code) if other in layers}
        broken += [f"{layer}/{model} reads {other}" for other in sorted(read - READS[layer])]
    assert not broken, "\n" + "\n".join(broken)


def test_every_model_begins_with_its_grain() -> None:
    broken = [
        model
        for model, (_, text) in sorted(model_layers().items())
        if not re.match(r"(--|\{#).*\b(one row per|grain|one row)\b", text, re.IGNORECASE)
    ]
    assert broken == []


def test_no_tracked_file_is_larger_than_one_mebibyte() -> None:
    large = [name_of(path) for path in tracked_files() if path.stat().st_size > 2**20]
    assert large == []


def test_no_tracked_file_names_a_machine_or_a_package_index() -> None:
    broken = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for rule in (MACHINE, INDEX_HOSTS):
            broken += [f"{name_of(path)}: {hit.group()}" for hit in rule.finditer(text)]
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    "text", ["see /" + "work/main", "cd /" + "home/ann", "https://py" + "pi.org/x"]
)
def test_a_machine_or_an_index_would_be_found(text: str) -> None:
    assert MACHINE.search(text) or INDEX_HOSTS.search(text)


# --- What people read -----------------------------------------------------------------------------


def code_of(document: str) -> list[str]:
    """List what a Markdown document shows as code: spans and the lines of shell blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [code for code in [*re.findall(r"`([^`\n]+)`", prose), *lines] if code]


def make_targets() -> set[str]:
    return set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )


def drip_commands() -> set[str]:
    from pipeline.cli import app  # noqa: PLC0415 - a broken command line fails this test only

    command = typer.main.get_command(app)
    return set(command.commands)  # type: ignore[attr-defined]


def test_every_path_in_the_readme_exists() -> None:
    paths = {
        match.group(1)
        for code in code_of("README.md")
        for match in re.finditer(
            r"(?:^|\s)(\.?\w[\w.-]*/[\w./-]*|\w+\.(?:md|toml|lock))(?=\s|$|[<*])", code
        )
    }
    missing = [path for path in sorted(paths) if not (ROOT / path.split("<")[0]).exists()]
    assert paths
    assert [path for path in missing if not path.startswith("data/")] == []


def test_every_make_target_in_the_readme_exists() -> None:
    named = {word for code in code_of("README.md") for word in re.findall(r"^make (\w+)", code)}
    assert {"demo", "test"} <= named
    assert sorted(named - make_targets()) == []


def test_every_drip_command_in_the_readme_exists() -> None:
    named = {
        word
        for code in code_of("README.md")
        for word in re.findall(r"^(?:\S*/)?drip ([a-z-]+)", code)
    }
    assert {"init", "check", "tick"} <= named
    assert sorted(named - drip_commands()) == []


def test_every_drip_command_in_the_makefile_exists() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\$\(BIN\)/drip ([a-z-]+)", text))
    assert {"demo", "check", "up"} <= named
    assert sorted(named - drip_commands()) == []


def test_make_help_names_every_target_and_only_those() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r'@echo "make (\w+)', text))
    assert named == make_targets() - {"help", "install"}


def test_every_dependency_has_its_line_in_decisions_and_its_version_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = {re.split(r"[\[<>=]", line)[0] for line in wanted}
    table = (ROOT / "DECISIONS.md").read_text(encoding="utf-8")
    explained = {
        name
        for row in re.findall(r"^\| ([\w, -]+) \|", table, re.MULTILINE)
        for name in row.split(", ")
    }
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w-]+)", lock, re.MULTILINE))
    assert sorted(names - explained) == []
    assert sorted(names - locked) == []
