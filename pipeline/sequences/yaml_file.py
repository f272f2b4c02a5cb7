"""One YAML file as plain data, with the line of every key (YAML 1.2: `NO` and `on` are text).

Belongs here: reading, lines, what YAML itself gets wrong, writing an edit that must mean what was
wanted. Does not: what the keys mean (`model`).
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from pipeline.sequences.problems import Problem
from pipeline.settings import DripError

KeyPath = tuple[str | int, ...]
LONGEST_BYTES = 1_000_000
MOST_NODES = 50_000


def write_path(path: KeyPath) -> str:
    """Write a key path as people read it.

    >>> write_path(("steps", 2, "when"))
    'steps[2].when'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


@dataclass(frozen=True)
class YamlFile:
    """Plain data of one file and the line of each key path.

    Attributes:
        name: Path inside the sequences folder, as problems show it.
    """

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(repr=False)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the key, else of the nearest key around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(
        self, path: KeyPath, message: str, severity: Literal["error", "warning"] = "error"
    ) -> Problem:
        """Make a problem that points at a key of this file."""
        return Problem(self.name, self.line_of(path), write_path(path), message, severity)


# Becomes a Problem, never an error that a caller sees.
class _Refused(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_yaml(path: Path, name: str) -> YamlFile | Problem:
    """Read one file; what is wrong with it as YAML comes back as a problem.

    Args:
        path: The file.
        name: How problems call it.
    """
    try:
        text = _read_text(path)
        data = _parse(text)
        if not isinstance(data, CommentedMap):
            raise _Refused(1, "the file must hold `key: value` lines; see sequences/welcome.yml")
        lines: dict[KeyPath, int] = {(): 1}
        return YamlFile(name, _plain(data, (), 1, lines), lines)
    except _Refused as refused:
        return Problem(name, refused.line, "", refused.message)


def write_edit(path: Path, text: str, wanted: dict[str, Any], advice: str) -> None:
    """Write an edited file, and take it back if it does not hold exactly the wanted data.

    Edits work on lines, so that comments and every other byte stay; a file in an unusual form is
    left as it was.

    Raises:
        DripError: the edit does not hold `wanted`; it ends with the advice.
    """
    before = path.read_bytes()
    path.write_bytes(text.encode("utf-8"))
    after = read_yaml(path, path.name)
    if isinstance(after, Problem) or after.data != wanted:
        path.write_bytes(before)
        raise DripError(f"{path.name} is written in an unusual form: {advice}.")


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > LONGEST_BYTES:
            raise _Refused(0, f"the file has more than {LONGEST_BYTES:,} bytes: split it")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _Refused(line, "the file is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise _Refused(0, f"the file cannot be read: {error.strerror or error}") from None


# Whoever changes one file reads all again; `_plain` copies what is remembered here.
@lru_cache(maxsize=256)
def _parse(text: str) -> object:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%"):
            # `%YAML 1.1` would turn `on` and NO into booleans again.
            raise _Refused(number, "directives are not read: remove the line that begins with %")
    try:
        return YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context).split()).replace("\t", " ")
        message = f"broken YAML: {what}. Look at this line and the one above: {_ADVICE}"
        raise _Refused(mark.line + 1 if mark else 1, message) from None
    except (YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise _Refused(1, f"broken YAML: {what}. Look for {_ADVICE}") from None


_ADVICE = 'indentation by spaces, a key twice, text with `: ` or `#` or `{{` not in "quotes"'


def _plain(value: object, path: KeyPath, line: int, lines: dict[KeyPath, int]) -> Any:
    if len(lines) > MOST_NODES:
        raise _Refused(line, f"the file has more than {MOST_NODES:,} values: split it")
    if isinstance(value, CommentedMap):
        return {
            str(key): _child(value[key], (*path, str(key)), value.lc.key(key)[0] + 1, lines)
            for key in value
        }
    if isinstance(value, CommentedSeq):
        return [
            _child(item, (*path, number), value.lc.item(number)[0] + 1, lines)
            for number, item in enumerate(value)
        ]
    return _plain_scalar(value, path, line)


def _child(value: object, path: KeyPath, line: int, lines: dict[KeyPath, int]) -> Any:
    lines[path] = line
    return _plain(value, path, line, lines)


def _plain_scalar(value: object, path: KeyPath, line: int) -> Any:
    if isinstance(value, ScalarBoolean | bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _whole_text(str(value), path, line)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None:
        return None
    where = write_path(path)
    raise _Refused(line, f"{where}: tags such as !name are not read: write the plain value")


def _whole_text(text: str, path: KeyPath, line: int) -> str:
    """Join the halves of a character, as JSON escapes them: an emoji is two escapes."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        message = f"{write_path(path)}: half of a character: write the character itself"
        raise _Refused(line, message) from None
