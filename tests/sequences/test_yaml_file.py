from pathlib import Path

import pytest

from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import YamlFile, read_yaml, write_path


def read(tmp_path: Path, text: str) -> YamlFile | Problem:
    path = tmp_path / "s.yml"
    path.write_bytes(text.encode())
    return read_yaml(path, "s.yml")


def test_no_and_on_stay_text(tmp_path: Path) -> None:
    source = read(tmp_path, "country: NO\non: yes\nhour: 12:30\nday: 2026-03-01\nreal: true\n")
    assert isinstance(source, YamlFile)
    assert source.data == {
        "country": "NO",
        "on": "yes",
        "hour": "12:30",
        "day": "2026-03-01",
        "real": True,
    }


def test_every_key_has_its_line(tmp_path: Path) -> None:
    source = read(tmp_path, "a: 1\n\n# comment\nsteps:\n  - id: x\n    n: 1.5\n  - {id: y, m: 2}\n")
    assert isinstance(source, YamlFile)
    assert source.line_of(("steps", 0, "n")) == 6
    assert source.line_of(("steps", 1, "m")) == 7
    assert source.line_of(("steps", 1, "missing", "deeper")) == 7
    assert source.problem(("steps", 0, "n"), "no").line == 6


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\nb: [1", 2, "broken YAML", id="open bracket"),
        pytest.param("a: 1\na: 2", 2, "duplicate key", id="key twice"),
        pytest.param("a:\n\t- x", 2, "broken YAML", id="tab"),
        pytest.param("a: b: c", 1, "broken YAML", id="colon in text"),
        pytest.param("- 1", 1, "key: value", id="a list"),
        pytest.param("", 1, "key: value", id="empty"),
        pytest.param("a: 1\nb: !x y", 2, "tags", id="tag"),
        pytest.param("%YAML 1.1\n---\non: x", 1, "directives", id="YAML 1.1 by directive"),
        pytest.param("a: *x", 1, "broken YAML", id="unknown alias"),
    ],
)
def test_broken_yaml_is_a_problem_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    problem = read(tmp_path, text)
    assert isinstance(problem, Problem)
    assert problem.line == line
    assert words in problem.message


def test_another_encoding_is_a_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yml"
    path.write_bytes(b"a: 1\nb: \xe4")
    problem = read_yaml(path, "s.yml")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.message) == (2, "the file is not UTF-8 text: save it as UTF-8")


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    problem = read_yaml(tmp_path / "none.yml", "none.yml")
    assert isinstance(problem, Problem)
    assert "cannot be read" in problem.message


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 10):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    problem = read(tmp_path, "\n".join(lines))
    assert isinstance(problem, Problem)
    assert "values" in problem.message


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    problem = read(tmp_path, "a: " + "x" * 1_000_001)
    assert isinstance(problem, Problem)
    assert "split it" in problem.message


def test_a_path_is_written_as_people_read_it() -> None:
    assert write_path(("steps", 2, "branch", 0, "when")) == "steps[2].branch[0].when"


def test_halves_of_a_character_are_joined_and_one_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text('name: "\\ud83d\\ude00 and \u00e9"\n')
    file = read_yaml(path, "one.yml")
    assert not isinstance(file, Problem)
    assert file.data == {"name": "\U0001f600 and \u00e9"}
    path.write_text('name: "\\ud83d alone"\n')
    problem = read_yaml(path, "one.yml")
    assert isinstance(problem, Problem)
    assert "half of a character" in problem.message
