from pipeline.sequences.problems import Problem, as_error, errors_of


def test_a_problem_names_file_line_and_field() -> None:
    assert str(Problem("a.yml", 3, "steps[0].id", "rename it")) == "a.yml:3: steps[0].id: rename it"


def test_a_missing_file_has_neither_line_nor_field() -> None:
    assert str(Problem("workspace.yml", 0, "", "is missing")) == "workspace.yml: is missing"


def test_errors_are_sorted_and_told_once_and_warnings_left_out() -> None:
    first, second = Problem("a.yml", 9, "", "x"), Problem("b.yml", 1, "", "x")
    advice = Problem("a.yml", 1, "", "y", "warning")
    assert errors_of([second, advice, first, second]) == [first, second]


def test_the_error_lists_all_errors() -> None:
    text = str(as_error([Problem("a.yml", 2, "x", "one"), Problem("a.yml", 3, "y", "two")]))
    assert text.startswith("2 problems")
    assert "a.yml:2: x: one" in text
    assert "a.yml:3: y: two" in text
