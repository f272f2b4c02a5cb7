from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.templates import (
    MissingTextError,
    TextProblem,
    camel_case,
    check_text,
    known_variables,
    put_in_snippets,
    read_text,
)


def test_both_spellings_of_a_variable_are_known() -> None:
    known = known_variables(["deal_size"])
    assert known["firstName"] == known["first_name"] == "first_name"
    assert known["dealSize"] == "deal_size"
    assert check_text("{{ firstName | default('x') }} {{ unsubscribe }}", []) == []


@given(st.from_regex(r"[a-z]{1,6}(_[a-z]{1,6}){0,3}", fullmatch=True))
def test_the_camel_spelling_has_no_underscore_and_the_same_letters(name: str) -> None:
    assert camel_case(name).lower() == name.replace("_", "")


def test_an_unknown_variable_is_told_with_its_line() -> None:
    problems = check_text("Hello\n{{ frist_name | default('x') }}", [])
    assert [problem.line for problem in problems] == [2]
    assert "did you mean first_name" in problems[0].message


def test_variables_set_in_the_template_are_known() -> None:
    assert check_text("{% set x = 1 %}{{ x }}{% for y in [1] %}{{ y }}{% endfor %}", []) == []


def test_a_variable_without_default_is_a_warning() -> None:
    problems = check_text("Hi {{ first_name }}", [])
    assert [problem.severity for problem in problems] == ["warning"]
    assert "default('there')" in problems[0].message
    assert check_text("{% if company %}{{ company }}{% endif %}", []) == []


def test_what_an_enrollment_may_be_given_needs_a_default_or_a_test() -> None:
    assert check_text("{{ context.offer | default('ours') }}", []) == []
    assert check_text("{% if context.offer %}{{ context.offer }}{% endif %}", []) == []
    (problem,) = check_text("Hi\n{{ context.offer }}", [])
    assert (problem.line, problem.severity) == (2, "warning")
    assert "leads without context.offer will not get this message" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a\n{{ first_name", 2, "broken template", id="open braces"),
        pytest.param("{{ first_name | defualt('x') }}", 1, "defualt", id="unknown filter"),
        pytest.param("{% include name %}", 1, "only {% include", id="include of a variable"),
        pytest.param("{% import 'x' as y %}", 1, "only {% include", id="import"),
    ],
)
def test_a_broken_template_is_an_error(text: str, line: int, words: str) -> None:
    problem = check_text(text, [])[0]
    assert isinstance(problem, TextProblem)
    assert (problem.line, problem.severity) == (line, "error")
    assert words in problem.message


def test_snippets_are_put_in_also_inside_snippets(tmp_path: Path) -> None:
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "outer.md").write_text("<{% include 'snippets/inner.md' %}>\n")
    (tmp_path / "snippets" / "inner.md").write_text("{{ sender_name }}\n")
    text = put_in_snippets(tmp_path, 'a {%- include "snippets/outer.md" -%} b')
    assert text == "a <{{ sender_name }}> b"


def test_a_circle_of_snippets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "a.md").write_text("{% include 'snippets/a.md' %}")
    with pytest.raises(MissingTextError, match="circle"):
        put_in_snippets(tmp_path, "{% include 'snippets/a.md' %}")


@pytest.mark.parametrize(
    "name",
    ["../a.md", "templates/../../a.md", "/etc/passwd", "a.md", "templates/a.py", "snippets/a.md"],
)
def test_only_files_inside_the_folder_are_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingTextError, match="no file of ours"):
        read_text(tmp_path, name, "templates")


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "welcome.md").write_text("x")
    with pytest.raises(MissingTextError, match=r"did you mean templates/welcome\.md"):
        read_text(tmp_path, "templates/wellcome.md", "templates")


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.md").write_bytes(b"\xe4")
    with pytest.raises(MissingTextError, match="UTF-8"):
        read_text(tmp_path, "templates/a.md", "templates")
