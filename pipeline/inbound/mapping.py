"""From what others send to our words, as a provider file says.

Belongs here: reading the inbound part of channels/providers/*.yml, mapping bodies by JMESPath.
Does not: what a valid lead or event is (records), HTTP (server).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.inbound.records import Event, Lead, describe, plain_message
from pipeline.inbound.signatures import SCHEMES
from pipeline.settings import DripError


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    when: str
    fields: dict[str, str]


class _Inbound(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signature: str
    secret: Literal["webhook_secret"]
    headers: list[Annotated[str, AfterValidator(str.lower)]] = Field(default_factory=list)
    items: str
    ignore: str | None = None
    leads: _Rule | None = None
    events: _Rule | None = None


@dataclass(frozen=True)
class _CompiledRule:
    when: ParsedResult
    fields: dict[str, ParsedResult]


@dataclass(frozen=True)
class Provider:
    """The inbound half of a provider file, ready to map."""

    name: str
    signature: str
    secret_name: str
    headers: tuple[str, ...]
    items: ParsedResult
    ignore: ParsedResult | None
    leads: _CompiledRule | None
    events: _CompiledRule | None


@dataclass(frozen=True)
class Mapped:
    """What a body says in our words, and what of it could not be said."""

    leads: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)  # reason, raw text


class Unmappable(Exception):
    """This item cannot be said in our words; the text is the reason."""


def load_providers(sequences: Path) -> dict[str, Provider]:
    """Read every provider file with an inbound part; a workspace's own wins over ours.

    Raises:
        DripError: a file is not right; it names file, line and field.
    """
    shipped = Path(str(files("pipeline.channels") / "providers"))
    paths: dict[str, Path] = {}
    for folder in (shipped, sequences / "providers"):
        paths |= {path.stem: path for path in sorted(folder.glob("*.yml"))}
    loaded = (load_provider(path) for path in paths.values())
    return {provider.name: provider for provider in loaded if provider}


def load_provider(path: Path) -> Provider | None:
    """Read the inbound part of one provider file; None when it has none.

    Raises:
        DripError: it is not right.
    """
    data = _read_yaml(path)
    if not isinstance(data, dict):
        raise DripError(f"{path}: should hold a mapping, such as `inbound: ...`.")
    if "inbound" not in data:
        return None
    try:
        inbound = _Inbound.model_validate(data["inbound"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _file_error(path, data, ("inbound", *first["loc"]), first["msg"]) from None
    return _compile(path, data, inbound)


def map_body(
    provider: Provider,
    headers: Mapping[str, str],
    raw: str,
    hash_network: Callable[[str | None], str | None],
) -> Mapped:
    """Map a body; whatever cannot be mapped is in `errors` with its reason and its own text."""
    try:
        return _map_items(provider, headers, raw, hash_network)
    except RecursionError:
        return Mapped(errors=[("The body is nested too deeply.", raw)])
    except Unmappable as error:
        return Mapped(errors=[(str(error), raw)])


def _map_items(
    provider: Provider,
    headers: Mapping[str, str],
    raw: str,
    hash_network: Callable[[str | None], str | None],
) -> Mapped:
    kept = {name: headers[name] for name in provider.headers if name in headers}
    body = _read_json(raw)
    try:
        items = provider.items.search({"body": body, "headers": kept})
    except JMESPathError as error:
        raise Unmappable(f"{provider.name}.yml, items: {error}") from None
    if not isinstance(items, list) or not items:
        raise Unmappable(f"{provider.name}.yml, items: finds nothing in the body.")
    mapped = Mapped()
    for position, item in enumerate(items):
        context = {"item": item, "position": position, "body": body, "headers": kept}
        try:
            _map_item(provider, context, mapped, hash_network)
        except (Unmappable, JMESPathError) as error:
            text = raw if len(items) == 1 else json.dumps(item, ensure_ascii=False)
            mapped.errors.append((f"Item {position + 1}: {error}", text))
    return mapped


def _read_json(raw: str) -> Any:
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Unmappable(f"The body is not JSON: {error}.") from None


def _map_item(
    provider: Provider,
    context: dict[str, Any],
    mapped: Mapped,
    hash_network: Callable[[str | None], str | None],
) -> None:
    if provider.ignore and provider.ignore.search(context):
        return
    lead = _fields(provider.leads, context)
    event = _fields(provider.events, context)
    if lead is None and event is None:
        raise Unmappable(f"no rule of {provider.name}.yml is for it.")
    if event is not None and "address" in event:
        event["network"] = hash_network(str(event.pop("address")))
    try:
        leads = [] if lead is None else [Lead.model_validate(lead).dump()]
        events = [] if event is None else [Event.model_validate(event).dump()]
    except ValidationError as error:
        raise Unmappable(describe(error)) from None
    mapped.leads.extend(leads)
    mapped.events.extend(events)


def _fields(rule: _CompiledRule | None, context: dict[str, Any]) -> dict[str, Any] | None:
    if rule is None or not rule.when.search(context):
        return None
    found = ((name, expression.search(context)) for name, expression in rule.fields.items())
    return {name: value for name, value in found if value is not None}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _read_yaml(path: Path) -> Any:
    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DripError(f"{path}:{line}: {error.problem or error.context}.") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DripError(f"{path} cannot be read: {error}.") from None


def _compile(path: Path, data: Any, inbound: _Inbound) -> Provider:
    def fail(message: str, *loc: str) -> DripError:
        return _file_error(path, data, ("inbound", *loc), message)

    def rule(name: str, given: _Rule | None, known: set[str]) -> _CompiledRule | None:
        if given is None:
            return None
        for target in sorted(given.fields.keys() - known):
            message = f"there is no such field; write one of: {', '.join(sorted(known))}"
            raise fail(message, name, "fields", target)
        return _CompiledRule(
            when=expression(given.when, name, "when"),
            fields={
                target: expression(text, name, "fields", target)
                for target, text in given.fields.items()
            },
        )

    def expression(text: str, *loc: str) -> ParsedResult:
        try:
            return _compile_expression(text)
        except ValueError as error:
            raise fail(str(error), *loc) from None

    if inbound.signature not in SCHEMES:
        known = ", ".join(sorted(SCHEMES))
        raise fail(f"{inbound.signature!r} is no scheme; write one of: {known}", "signature")
    return Provider(
        name=path.stem,
        signature=inbound.signature,
        secret_name=inbound.secret,
        headers=tuple(inbound.headers),
        items=expression(inbound.items, "items"),
        ignore=expression(inbound.ignore, "ignore") if inbound.ignore else None,
        leads=rule("leads", inbound.leads, set(Lead.model_fields)),
        events=rule("events", inbound.events, set(Event.model_fields) - {"network"} | {"address"}),
    )


def _compile_expression(text: str) -> ParsedResult:
    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).splitlines()[0].rstrip(":. ")
        raise ValueError(f"{text!r} is no JMESPath expression ({reason})") from None
    # JMESPath itself would notice an unknown function only while mapping.
    for name in _functions_of(compiled.parsed):
        if name not in Functions.FUNCTION_TABLE:
            raise ValueError(f"JMESPath has no function {name!r}")
    return compiled


def _functions_of(node: Any) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _functions_of(child)


def _file_error(path: Path, data: Any, loc: tuple[int | str, ...], message: str) -> DripError:
    line = 1
    for where in _lines_along(data, loc):
        line = where
    return DripError(f"{path}:{line}: {'.'.join(map(str, loc))}: {plain_message(message)}.")


def _lines_along(data: Any, loc: tuple[int | str, ...]) -> Iterator[int]:
    """Yield the line of each part of a path that the file has; a missing part has none."""
    for part in loc:
        if isinstance(data, dict) and part in data:
            yield data.lc.key(part)[0] + 1  # type: ignore[attr-defined]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            yield data.lc.item(part)[0] + 1  # type: ignore[attr-defined]
        else:
            return
        data = data[part]
