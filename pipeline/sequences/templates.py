"""Texts of messages as files: snippets put in, variables and syntax checked.

Belongs here: reading templates/ and snippets/, and what Jinja says about them without rendering.
Does not: rendering (`messages`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from jinja2 import TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

VARIABLES = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "company",
    "sender_name",
    "unsubscribe",
    "context",
)
"""What every message may name, besides the attributes of workspace.yml."""

# A lead without an address of the channel never gets as far as its text.
ALWAYS_KNOWN = frozenset({"sender_name", "unsubscribe", "email", "phone"})
LONGEST_BYTES = 200_000
DEEPEST_SNIPPETS = 10

_INCLUDE = re.compile(r"""\{%[-+]?\s*include\s+(['"])([^'"]+)\1\s*[-+]?%\}""")
_PATH = re.compile(r"(templates|snippets)(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+\.(md|txt|html)")
_SYNTAX = SandboxedEnvironment(autoescape=True)


def camel_case(name: str) -> str:
    """Write a variable as some tools do: both spellings are accepted (K17).

    >>> camel_case("first_name")
    'firstName'
    """
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def known_variables(attributes: Iterable[str]) -> dict[str, str]:
    """Map every spelling of a variable to its canonical name."""
    names = [*VARIABLES, *attributes]
    return {camel_case(name): name for name in names} | {name: name for name in names}


@dataclass(frozen=True, order=True)
class TextProblem:
    """What is wrong with a text, and in which of its lines."""

    line: int
    message: str
    severity: Literal["error", "warning"] = "error"


class MissingTextError(Exception):
    """A template or snippet that cannot be read; the message says what to do."""


def read_text(folder: Path, name: str, kind: Literal["templates", "snippets"]) -> str:
    """Read one text file of the sequences folder.

    Raises:
        MissingTextError: the name is no path inside templates/ or snippets/, or cannot be read.
    """
    if not name.startswith(f"{kind}/") or not _PATH.fullmatch(name) or ".." in name:
        raise MissingTextError(f"{name!r} is no file of ours: write {kind}/<name>.md")
    path = folder / name
    try:
        raw = path.read_bytes()
        if len(raw) > LONGEST_BYTES:
            raise MissingTextError(f"{name} has more than {LONGEST_BYTES:,} bytes: shorten it")
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        others = sorted(f"{kind}/{file.name}" for file in (folder / kind).glob("*.*"))
        near = get_close_matches(name, others, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"write the text into {name}"
        raise MissingTextError(f"there is no file {name}: {hint}") from None
    except UnicodeDecodeError:
        raise MissingTextError(f"{name} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise MissingTextError(f"{name} cannot be read: {error.strerror or error}") from None


def put_in_snippets(folder: Path, source: str, depth: int = 0) -> str:
    """Replace every `{% include 'snippets/x.md' %}` by the snippet's text.

    Raises:
        MissingTextError: a snippet is missing, or snippets include each other in a circle.
    """
    if depth > DEEPEST_SNIPPETS:
        raise MissingTextError("snippets include each other in a circle: remove one include")

    def replace(match: re.Match[str]) -> str:
        # The last line break of a file belongs to the file, not to the sentence around it.
        text = read_text(folder, match[2], "snippets").removesuffix("\n")
        return put_in_snippets(folder, text, depth + 1)

    return _INCLUDE.sub(replace, source)


def check_text(source: str, attributes: Iterable[str]) -> list[TextProblem]:
    """Find broken Jinja, unknown variables, and variables that may be missing for some leads."""
    try:
        tree = _SYNTAX.parse(source)
        # Filters and tests are looked up when the template is compiled, not when it is parsed.
        _SYNTAX.compile(tree)
        tree = _SYNTAX.parse(source)
    except TemplateSyntaxError as error:
        return [TextProblem(error.lineno, f"broken template: {error.message}: mend the braces")]
    known = known_variables(attributes)
    unknown = meta.find_undeclared_variables(tree) - set(known)
    return sorted({*_refused_tags(tree), *_unknown(tree, unknown, known), *_unsafe(tree, known)})


def _refused_tags(tree: nodes.Template) -> Iterator[TextProblem]:
    tags = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
    for kind in tags:
        for node in tree.find_all(kind):
            message = "only {% include 'snippets/x.md' %} is supported, with the name in quotes"
            yield TextProblem(node.lineno, message)


def _unknown(
    tree: nodes.Template, unknown: set[str], known: dict[str, str]
) -> Iterator[TextProblem]:
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            near = get_close_matches(node.name, known, n=1, cutoff=0.6)
            names = ", ".join(sorted(set(known.values())))
            hint = f"did you mean {near[0]}?" if near else f"known are {names}"
            message = f"unknown variable {node.name!r}: {hint}"
            yield TextProblem(node.lineno, f"{message} (attributes: see workspace.yml)")


def _unsafe(tree: nodes.Template, known: dict[str, str]) -> Iterator[TextProblem]:
    """Warn of `{{ first_name }}` alone: a lead without one cannot get the message."""
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            written = _as_written(node)
            name = known.get(written.partition(".")[0]) if written else None
            if name and name not in ALWAYS_KNOWN and not _is_tested(tree, written):
                hint = f"{{{{ {written} | default('there') }}}}"
                without = written if "." in written else name
                message = f"leads without {without} will not get this message: write {hint}"
                yield TextProblem(node.lineno, message, "warning")


def _as_written(node: nodes.Node) -> str:
    """Return `first_name` or `context.offer`, nothing for what is more than a value."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}" if node.node.name == "context" else ""
    return ""


def _is_tested(tree: nodes.Template, written: str) -> bool:
    tests = (test for condition in tree.find_all(nodes.If) for test in [condition.test])
    return any(
        _as_written(part) == written
        for test in tests
        for part in (test, *test.find_all((nodes.Name, nodes.Getattr)))
    )
