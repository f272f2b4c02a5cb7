"""From files to compiled sequences: laid out flat, conditions as SQL, texts read, version hashed.

Belongs here: the workspace, one file's meaning, rules across files. Does not: shapes of fields
(`model`), advice (`check`), anything that needs the ledger (`engine`).
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.sequences.calendars import Calendar
from pipeline.sequences.compiled import (
    FINISHED,
    CompiledSequence,
    CompiledStep,
    Delay,
    EnrollEvent,
    Experiment,
    Late,
    Limits,
    Retry,
    Variant,
    compile_from_json,
    write_content_json,
)
from pipeline.sequences.conditions import ConditionError, Scope, compile_condition, url_like
from pipeline.sequences.experiments import (
    BEST_ORDER,
    CONTENT_FIELDS,
    OPTIONAL_FIELDS,
    REQUESTS,
    TEXT_FIELDS,
    build_experiment,
    check_experiment,
    with_delays,
)
from pipeline.sequences.model import (
    REACTIONS,
    Sender,
    SequenceFile,
    StepFile,
    Workspace,
    read_model,
    suggest,
)
from pipeline.sequences.problems import Problem, as_error, errors_of
from pipeline.sequences.templates import (
    MissingTextError,
    check_text,
    put_in_snippets,
    read_text,
)
from pipeline.sequences.vocabulary import EventKind
from pipeline.sequences.waits import build_wait, check_wait
from pipeline.sequences.yaml_file import KeyPath, YamlFile, read_yaml

__all__ = [
    "Calendar",
    "CompiledSequence",
    "CompiledStep",
    "Delay",
    "Experiment",
    "Late",
    "Limits",
    "Retry",
    "Variant",
    "compile_from_json",
    "load_sequences",
    "load_workspace",
    "read_folder",
    "read_sequences",
    "read_workspace",
]

WORKSPACE_FILE = "workspace.yml"
# Step positions are bits of a bigint; the planner keeps (version, step) in one integer of span 64.
MOST_STEPS = 60
SEQUENCE_ID = re.compile(r"[a-z][a-z0-9_-]{0,59}")


def load_workspace(folder: Path) -> Workspace:
    """Read workspace.yml.

    Raises:
        DripError: it is missing or has problems; all of them are listed.
    """
    workspace, problems = read_workspace(folder)
    if workspace is None:
        raise as_error(problems)
    return workspace


def load_sequences(folder: Path, workspace: Workspace) -> list[CompiledSequence]:
    """Read and compile every sequence of the folder, by id.

    Raises:
        DripError: a file has problems; all problems of all files are listed.
    """
    sequences, problems = read_sequences(folder, workspace)
    if errors_of(problems):
        raise as_error(problems)
    return sequences


def read_folder(folder: Path) -> tuple[Workspace | None, list[CompiledSequence], list[Problem]]:
    """Read the whole folder and collect every problem instead of raising."""
    workspace, problems = read_workspace(folder)
    if workspace is None:
        return None, [], [*problems, *_shape_problems(folder)]
    sequences, more = read_sequences(folder, workspace)
    return workspace, sequences, [*problems, *more]


def read_workspace(folder: Path) -> tuple[Workspace | None, list[Problem]]:
    """Read workspace.yml; None when it cannot be used."""
    path = folder / WORKSPACE_FILE
    if not path.is_file():
        message = f"{path} is missing: run `drip init`, or point DRIP_SEQUENCES to its folder"
        return None, [Problem(WORKSPACE_FILE, 0, "", message)]
    source = read_yaml(path, WORKSPACE_FILE)
    if isinstance(source, Problem):
        return None, [source]
    found: list[Problem] = []
    workspace = read_model(Workspace, source, found)
    if workspace:
        found.extend(_check_workspace(workspace, source))
    return (workspace if not found else None), found


def _check_workspace(workspace: Workspace, source: YamlFile) -> Iterator[Problem]:
    for name, transport in workspace.transports.items():
        if transport.kind == "smtp" and not transport.host:
            yield source.problem(("transports", name), "smtp needs a server: add `host:`")
        if transport.kind == "http" and not transport.url:
            yield source.problem(("transports", name), "http needs an address: add `url:`")
    for name, sender in workspace.senders.items():
        if sender.limits.warm_up and sender.limits.per_day is None:
            message = "warm_up grows until per_day is reached: add `per_day:`"
            yield source.problem(("senders", name, "limits", "warm_up"), message)
    if workspace.account is not None and workspace.account not in workspace.attributes:
        hint = suggest(workspace.account, workspace.attributes)
        message = f"{workspace.account!r} is not in `attributes:`.{hint} List it there."
        yield source.problem(("account",), message)
    yield from _check_senders(workspace, source)


def _check_senders(workspace: Workspace, source: YamlFile) -> Iterator[Problem]:
    for name, sender in workspace.senders.items():
        if sender.transport not in workspace.transports:
            hint = suggest(sender.transport, workspace.transports)
            path: KeyPath = ("senders", name, "transport")
            yield source.problem(path, f"unknown transport {sender.transport!r}.{hint}")
        else:
            yield from _check_way(name, sender, workspace, source)
        for problem in check_text(sender.to or "", workspace.attributes):
            if problem.severity == "error":
                yield source.problem(("senders", name, "to"), problem.message)
    for channel, name in workspace.default_senders.items():
        if name not in workspace.senders or workspace.senders[name].channel != channel:
            known = [key for key, sender in workspace.senders.items() if sender.channel == channel]
            hint = suggest(name, known) or f" Add one with channel: {channel} to `senders:`."
            path = ("default_senders", channel)
            yield source.problem(path, f"no {channel} sender {name!r}.{hint}")


def _check_way(
    name: str, sender: Sender, workspace: Workspace, source: YamlFile
) -> Iterator[Problem]:
    """Requests travel over http and nothing else does; whatever is a message has an address."""
    kind, path = workspace.transports[sender.transport].kind, ("senders", name)
    is_request = sender.channel in REQUESTS
    if is_request and kind != "http":
        message = f"a {sender.channel} needs a transport of `kind: http` with its `url:`: name one"
        yield source.problem((*path, "transport"), message)
    elif not is_request and kind == "http":
        message = f"{sender.channel} does not travel over http: name a maildir or smtp transport"
        yield source.problem((*path, "transport"), message)
    if not is_request and not sender.address:
        how = 'write `address: "Ann Example <ann@example.com>"`'
        yield source.problem(path, f"{sender.channel} senders need an address: {how}")


def _sequence_files(folder: Path) -> tuple[list[YamlFile], list[Problem]]:
    sources: list[YamlFile] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        message = f"files end in .yml: rename it to {path.stem}.yml"
        problems.append(Problem(path.name, 0, "", message))
    for path in sorted(folder.glob("*.yml")):
        if path.name == WORKSPACE_FILE:
            continue
        if not SEQUENCE_ID.fullmatch(path.stem):
            message = "the file name is the sequence's id: use small letters, digits and _"
            problems.append(Problem(path.name, 0, "", message))
        source = read_yaml(path, path.name)
        if isinstance(source, Problem):
            problems.append(source)
        else:
            sources.append(source)
    return sources, problems


def _shape_problems(folder: Path) -> list[Problem]:
    """Check what can be checked of the sequences without a workspace."""
    sources, problems = _sequence_files(folder)
    for source in sources:
        read_model(SequenceFile, source, problems)
    return problems


def read_sequences(
    folder: Path, workspace: Workspace
) -> tuple[list[CompiledSequence], list[Problem]]:
    """Compile every sequence of the folder that has no problems, and collect the problems."""
    sources, problems = _sequence_files(folder)
    sequences = []
    experiments: dict[str, str] = {}
    for source in sources:
        file = read_model(SequenceFile, source, problems)
        if file is None:
            continue
        compiler = _Compiler(source, workspace, folder, experiments)
        sequence = compiler.compile(file)
        problems.extend(compiler.problems)
        if not any(problem.severity == "error" for problem in compiler.problems):
            sequences.append(sequence)
    problems.extend(_check_names(sequences, {source.name: source for source in sources}))
    return sequences, problems


def _check_names(
    sequences: list[CompiledSequence], sources: Mapping[str, YamlFile]
) -> Iterator[Problem]:
    """Find names that two sequences have; a sequence without a name is called by its id."""
    # Ids first: a file's own id is always free for it.
    ordered = sorted(sequences, key=lambda s: (s.name != s.sequence_id, s.sequence_id))
    seen: dict[str, str] = {}
    for sequence in ordered:
        other = seen.setdefault(sequence.name.casefold(), sequence.sequence_id)
        if other != sequence.sequence_id:
            message = f"{other}.yml is called {sequence.name!r} too: write another name"
            yield sources[f"{sequence.sequence_id}.yml"].problem(("name",), message)


@dataclass
class _Node:
    """One step with its place: where in the file, which number, what comes before and after."""

    ix: int
    path: KeyPath
    step: StepFile
    before: Mapping[str, int]
    ways: list[list["_Node"]] = field(default_factory=list)
    next_ix: int = FINISHED


def _lay_out(
    steps: list[StepFile], path: KeyPath, before: dict[str, int], nodes: list[_Node]
) -> tuple[list[_Node], dict[str, int]]:
    """Number the steps depth first, so that a follower always has a higher number.

    Returns:
        The steps of this list, and every message step that may lie on the path after them.
    """
    siblings = []
    for position, step in enumerate(steps):
        node = _Node(len(nodes), (*path, position), step, dict(before))
        nodes.append(node)
        siblings.append(node)
        after = dict(before)
        if step.channel:
            after[step.id] = node.ix
        for number, case in enumerate(step.branch or []):
            way_path = (*node.path, "branch", number, "steps")
            way, reached = _lay_out(case.steps, way_path, before, nodes)
            node.ways.append(way)
            after |= reached
        before = after
    return siblings, before


def _link(siblings: list[_Node], join_ix: int) -> None:
    followers = [*(node.ix for node in siblings[1:]), join_ix]
    # An empty way has no steps, and one follower too many.
    for node, follower_ix in zip(siblings, followers, strict=False):
        node.next_ix = follower_ix
        for way in node.ways:
            _link(way, node.next_ix)


def _ends_every_path(node: _Node) -> bool:
    """Whether nobody goes on behind a step: an end for all, or a branch whose every way has one."""
    if node.step.when is not None or not node.ways:
        return node.step.when is None and node.step.end is not None
    takes_all = (node.step.branch or [])[-1].when is None
    return takes_all and all(any(map(_ends_every_path, way)) for way in node.ways)


class _Compiler:
    """Compiles one checked file; every problem on the way is kept."""

    def __init__(
        self, source: YamlFile, workspace: Workspace, folder: Path, experiments: dict[str, str]
    ) -> None:
        self.source = source
        self.workspace = workspace
        self.folder = folder
        self.experiments = experiments
        self.problems: list[Problem] = []
        self.nodes: list[_Node] = []
        self.attributes = frozenset(workspace.attributes)
        self.goal_name: str | None = None

    def compile(self, file: SequenceFile) -> CompiledSequence:
        top, _ = _lay_out(file.steps, ("steps",), {}, self.nodes)
        _link(top, FINISHED)
        self._check_ids()
        self._check_reached(top)
        goal_name = file.goal.name if file.goal else None
        if goal_name and goal_name not in self.workspace.goals:
            hint = suggest(goal_name, self.workspace.goals)
            how = f"declare it in `goals:` of workspace.yml.{hint}"
            self._refuse(("goal", "name"), f"unknown goal {goal_name!r}: {how}")
        if file.overlap and file.campaign is None:
            message = (
                "overlap is between sequences of one campaign: write `campaign:`, or remove it"
            )
            self._refuse(("overlap",), message)
        self.goal_name = goal_name
        steps = tuple(self._step(node) for node in self.nodes)
        self._check_contacts(steps, file)
        within = file.goal.within if file.goal else None
        content_json = write_content_json(goal_name, within, steps)
        return CompiledSequence(
            sequence_id=self.source.name.removesuffix(".yml"),
            version=hashlib.sha256(content_json.encode()).hexdigest()[:16],
            status=file.status,
            name=file.name or self.source.name.removesuffix(".yml"),
            drain=file.drain,
            description=file.description,
            owner=file.owner,
            category=file.category,
            campaign=file.campaign,
            tags=tuple(dict.fromkeys(file.tags)),
            templates=tuple(_templates(self.nodes)),
            overlap=file.overlap,
            goal_name=goal_name,
            goal_within_seconds=within,
            calendar=Calendar(
                file.calendar.timezone,
                file.calendar.fallback_timezone,
                file.calendar.days,
                file.calendar.hours,
                file.calendar.holidays,
                prefers_hours=file.calendar.preferred_hours,
            ),
            enroll_when_sql=self._condition(
                ("enroll", "when"),
                file.enroll.when,
                Scope(attributes=self.attributes, is_enrollment=False),
            ),
            enroll_event=self._event(file),
            priority=file.enroll.priority,
            reenter=file.enroll.reenter,
            cooldown_seconds=file.enroll.cooldown,
            max_leads=file.enroll.max_leads,
            holdout=file.enroll.holdout,
            react={**REACTIONS, **{kind: reaction.do for kind, reaction in file.react.items()}},
            resume_after={
                kind: reaction.resume_after
                for kind, reaction in file.react.items()
                if reaction.resume_after is not None
            },
            limits=Limits(
                file.limits.per_day,
                file.limits.per_lead,
                file.limits.per_hour,
                file.limits.lead_per_day,
                file.limits.lead_per_week,
                file.limits.contact_gap,
            ),
            steps=steps,
            content_json=content_json,
        )

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.problems.append(self.source.problem(path, message))

    def _event(self, file: SequenceFile) -> EnrollEvent | None:
        event = file.enroll.event
        if event is None:
            return None
        for key, kinds in _EVENT_KEYS.items():
            if getattr(event, key) is not None and event.kind not in kinds:
                message = f"events of kind {event.kind} have no {key}: remove it"
                self._refuse(("enroll", "event", key), message)
        if event.kind == EventKind.CUSTOM and event.name is None:
            message = "a custom event has a name: add `name:`, such as deal_stage"
            self._refuse(("enroll", "event"), message)
        like = url_like(event.url) if event.url else None
        return EnrollEvent(event.kind, event.name, like, event.value)

    def _check_ids(self) -> None:
        seen: dict[str, int] = {}
        for node in self.nodes:
            path = (*node.path, "id")
            if node.step.id in seen:
                line = seen[node.step.id]
                self._refuse(path, f"step id {node.step.id!r} twice, also in line {line}: rename")
            seen.setdefault(node.step.id, self.source.line_of(path))
        if len(self.nodes) > MOST_STEPS:
            message = f"{len(self.nodes)} steps, at most {MOST_STEPS} are possible: split it"
            self._refuse(("steps",), message)

    def _check_reached(self, siblings: list[_Node]) -> None:
        for number, node in enumerate(siblings):
            if _ends_every_path(node) and number + 1 < len(siblings):
                how = "let a way go on" if node.ways else "give it a `when`"
                message = f"never reached: {node.step.id!r} ends every path: {how}"
                self._refuse(siblings[number + 1].path, message)
            for way in node.ways:
                self._check_reached(way)

    def _check_contacts(self, steps: tuple[CompiledStep, ...], file: SequenceFile) -> None:
        longest: dict[int, int] = {FINISHED: 0}
        for step in reversed(steps):
            targets = [step.next_ix, *(target for _, target in step.cases)]
            own = 1 if step.is_contact else 0
            longest[step.ix] = own + max(longest[target] for target in targets)
        most = longest[0]
        if most > file.limits.per_lead:
            message = (
                f"a lead may get {most} messages here, but limits.per_lead is "
                f"{file.limits.per_lead}: write `limits: {{per_lead: {most}}}` or remove steps"
            )
            path: KeyPath = ("limits", "per_lead")
            self._refuse(path if path in self.source.lines else ("steps",), message)

    def _condition(self, path: KeyPath, text: str | None, scope: Scope) -> str | None:
        if text is None:
            return None
        try:
            return compile_condition(text, scope)
        except ConditionError as error:
            self._refuse(path, str(error))
            return None

    def _scope(self, node: _Node) -> Scope:
        elsewhere = {}
        for other in self.nodes:
            if other.step.id in node.before:
                continue
            if not other.step.channel:
                why = "it sends nothing; name a message step"
            elif other.ix >= node.ix:
                why = "it does not come before this step; name an earlier one"
            else:
                why = "it lies on another way of the branch; name a step on this way"
            elsewhere[other.step.id] = why
        return Scope(node.before, elsewhere, self.attributes)

    def _step(self, node: _Node) -> CompiledStep:
        step = node.step
        kinds = [name for name in _KINDS if getattr(step, name) is not None]
        if len(kinds) != 1:
            what = f"a step has exactly one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}"
            self._refuse(node.path, f"{what}: write `channel: email`, or split the step")
        compiled = CompiledStep(
            ix=node.ix,
            step_id=step.id,
            kind=step.channel or kinds[0] if kinds else "end",  # type: ignore[arg-type]
            delay=step.after or Delay(),
            when_sql=self._condition((*node.path, "when"), step.when, self._scope(node)),
            next_ix=FINISHED if step.end and step.when is None else node.next_ix,
            end_status=step.end if step.end != "completed" else None,
        )
        if step.branch:
            return replace(compiled, cases=self._cases(node))
        if step.wait or step.wait_for:
            return self._wait(node, compiled)
        return self._message(node, compiled) if step.channel else self._no_message(node, compiled)

    def _wait(self, node: _Node, compiled: CompiledStep) -> CompiledStep:
        """A wait is settled at its due time; waiting for an event at the time-out at the latest."""
        self._no_message(node, compiled)
        for name in ("after", "when"):
            if getattr(node.step, name) is not None:
                how = "put it into a branch" if name == "when" else "write one time"
                self._refuse((*node.path, name), f"{compiled.kind} steps have no {name}: {how}")
        if node.step.wait_for is None:
            return replace(compiled, delay=node.step.wait or Delay())
        scope = self._scope(node)
        for finding in check_wait(node.step.wait_for, scope, self.workspace, self.goal_name):
            self._refuse((*node.path, "wait_for", *finding.path), finding.message)
        wait_for = build_wait(node.step.wait_for, scope, self.goal_name)
        return replace(compiled, delay=node.step.wait_for.timeout, wait_for=wait_for)

    def _no_message(self, node: _Node, compiled: CompiledStep) -> CompiledStep:
        for name in _MESSAGE_FIELDS:
            if getattr(node.step, name) is not None:
                message = f"{compiled.kind} steps have no {name}: remove it, or add `channel:`"
                self._refuse((*node.path, name), message)
        return compiled

    def _cases(self, node: _Node) -> tuple[tuple[str | None, int], ...]:
        self._no_message(node, CompiledStep(node.ix, node.step.id, "branch"))
        cases: list[tuple[str | None, int]] = []
        for number, (case, way) in enumerate(zip(node.step.branch or [], node.ways, strict=True)):
            path = (*node.path, "branch", number)
            target = way[0].ix if way else node.next_ix
            if case.when is None and number + 1 < len(node.ways):
                message = "a way without `when` takes everybody: write it last, or add a `when`"
                self._refuse(path, message)
            sql = self._condition((*path, "when"), case.when, self._scope(node))
            cases.append((sql, target))
        if (node.step.branch or [])[-1].when is not None:
            cases.append((None, node.next_ix))
        return tuple(cases)

    def _message(self, node: _Node, compiled: CompiledStep) -> CompiledStep:
        step, channel = node.step, node.step.channel or ""
        content = self._content(node.path, channel, self._texts(node, channel))
        if step.assignee is not None:
            content["assignee"] = step.assignee
        content |= self._request(node, channel)
        options = self._options(node) if channel == "best" else ()
        return replace(
            compiled,
            channel=channel,
            sender=None if channel == "best" else self._sender(node, channel),
            options=options,
            content=content,
            retry=Retry(step.retry.attempts, step.retry.backoff, step.retry.then)
            if step.retry
            else Retry(),
            late=Late(step.late.after, step.late.then) if step.late else Late(),
            experiment=self._experiment(node, channel, compiled.delay),
            holdout=step.holdout or 0.0,
        )

    def _sender(self, node: _Node, channel: str) -> str | None:
        name = node.step.sender or self.workspace.default_sender(channel)
        senders = self.workspace.senders
        known = [key for key, sender in senders.items() if sender.channel == channel]
        path = (*node.path, "sender")
        if name is None:
            hint = suggest("", known) or f" Add one with channel: {channel} to workspace.yml."
            self._refuse(path, f"no sender: add `sender:`.{hint}")
        elif name not in senders:
            self._refuse(path, f"unknown sender {name!r}.{suggest(name, known)}")
        elif senders[name].channel != channel:
            what = f"sender {name!r} sends {senders[name].channel}, this step is {channel}"
            self._refuse(path, f"{what}.{suggest(name, known)}")
        return name

    def _options(self, node: _Node) -> tuple[tuple[str, str], ...]:
        """The channels of `best` that the step has texts for, each with its default sender."""
        if node.step.sender is not None:
            message = "best writes by the default sender of each channel: remove it, and write"
            self._refuse((*node.path, "sender"), f"{message} `default_senders:` in workspace.yml")
        options = []
        for channel in _written(node.step):
            name = self.workspace.default_sender(channel)
            if name is None:
                how = f"add one to `default_senders:` of workspace.yml, such as {channel}: <name>"
                self._refuse((*node.path, "channel"), f"no {channel} sender: {how}")
            options.append((channel, name or ""))
        if len(options) < _FEWEST_OPTIONS:
            message = "best chooses between channels: write the texts of two at least, of subject"
            self._refuse((*node.path, "channel"), f"{message} and body, text (sms), script (call)")
        return tuple(options)

    def _texts(self, node: _Node, channel: str) -> dict[str, str]:
        """Give the step's own texts, and refuse what the channel lacks or does not have."""
        step, wanted = node.step, CONTENT_FIELDS[channel]
        needed: Collection[str] = set(wanted) - set(OPTIONAL_FIELDS)
        if channel == "best":
            needed = {name for option in _written(step) for name in CONTENT_FIELDS[option]}
        for name in TEXT_FIELDS:
            value = getattr(step, name)
            if name in needed and not (value and value.strip()):
                self._refuse((*node.path, name), f"{channel} step without {name}: {_HOW[name]}")
            elif name not in wanted and value is not None:
                how = " and ".join(wanted) or "payload"
                message = f"{channel} steps have no {name}: write {how}"
                self._refuse((*node.path, name), message)
        if step.assignee is not None and channel not in _FOR_SOMEBODY:
            message = f"{channel} steps have no assignee: remove it, or write channel: task"
            self._refuse((*node.path, "assignee"), message)
        values = {name: getattr(step, name) for name in wanted}
        return {name: value for name, value in values.items() if value}

    def _content(self, path: KeyPath, channel: str, texts: Mapping[str, str]) -> dict[str, str]:
        content = {}
        for name, text in texts.items():
            if name not in CONTENT_FIELDS[channel]:
                continue
            where = (*path, name)
            if name in ("subject", "title") and "\n" in text.strip():
                self._refuse(where, f"a {name} is one line: remove the line break")
            source = self._read(where, name, text)
            if source is not None:
                content["body_text" if name == "body" else name] = source
        return content

    def _read(self, where: KeyPath, name: str, text: str) -> str | None:
        """Read a template file or take the inline text, with snippets put in, and check it."""
        try:
            own = read_text(self.folder, text, "templates") if name == "body" else text
            full = put_in_snippets(self.folder, own)
        except MissingTextError as error:
            self._refuse(where, str(error))
            return None
        for problem in check_text(full, self.attributes):
            if name == "body" and full == own:
                found = Problem(text, problem.line, "", problem.message, problem.severity)
            else:
                place = f"{text} with its snippets: " if name == "body" else ""
                message = place + problem.message
                found = self.source.problem(where, message, problem.severity)
            if found not in self.problems:
                self.problems.append(found)
        return full

    def _request(self, node: _Node, channel: str) -> dict[str, str]:
        """Give what a request tells: the payload's templates as one JSON object, a hook's step."""
        where = (*node.path, "payload")
        if channel not in REQUESTS:
            if node.step.payload is not None:
                how = "remove it, or write channel: webhook or form"
                self._refuse(where, f"{channel} steps have no payload: {how}")
            return {}
        texts = self._fields(node) if channel == "form" else self._told(node)
        read = {name: self._read((*where, name), "payload", text) for name, text in texts.items()}
        content = {"payload": json.dumps(read, ensure_ascii=False)} if read else {}
        return content if channel == "form" else {"step": node.step.id, **content}

    def _told(self, node: _Node) -> dict[str, str]:
        """Give the payload of a webhook: texts only, as JSON would tell a number from its text."""
        texts = {}
        for name, value in (node.step.payload or {}).items():
            if isinstance(value, str):
                texts[name] = value
            else:
                message = f'{name} must be text: write it in "quotes"'
                self._refuse((*node.path, "payload", name), message)
        return texts

    def _fields(self, node: _Node) -> dict[str, str]:
        """Give the fields of a form: a form knows texts only, and null is a field left out."""
        texts = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in (node.step.payload or {}).items()
            if value is not None
        }
        if not texts:
            how = 'write its fields, such as `payload: {name: "{{ first_name }}"}`'
            self._refuse((*node.path, "payload"), f"form step without payload: {how}")
        return texts

    def _experiment(self, node: _Node, channel: str, delay: Delay) -> Experiment | None:
        test = node.step.experiment
        if test is None:
            return None
        path: KeyPath = (*node.path, "experiment")
        findings = list(check_experiment(node.step, test, self.workspace, node.ix == 0))
        for finding in findings:
            self._refuse((*path, *finding.path), finding.message)
        place = f"{self.source.name}, line {self.source.line_of((*path, 'id'))}"
        if test.id in self.experiments:
            message = f"experiment {test.id!r} is also in {self.experiments[test.id]}"
            self._refuse((*path, "id"), f"{message}: an id is used once, for ever: rename")
        self.experiments.setdefault(test.id, place)
        contents = []
        for number, variant in enumerate(test.variants):
            texts = {name: getattr(variant, name) for name in TEXT_FIELDS}
            given = {name: text for name, text in texts.items() if text is not None}
            where = (*path, "variants", number)
            contents.append(self._content(where, variant.channel or channel, given))
        if findings:
            return None
        return with_delays(build_experiment(node.step, test, self.workspace, contents), delay)


def _templates(nodes: list[_Node]) -> Iterator[tuple[int, str | None, str]]:
    """Tell which template files the bodies come from, those of arms with their own included."""
    for node in nodes:
        if node.step.body is not None:
            yield node.ix, None, node.step.body
        for variant in node.step.experiment.variants if node.step.experiment else ():
            if variant.body is not None:
                yield node.ix, variant.id, variant.body


def _written(step: StepFile) -> list[str]:
    """List the channels of `best` for which the step says something."""
    return [
        channel
        for channel in BEST_ORDER
        if any(getattr(step, name) for name in CONTENT_FIELDS[channel])
    ]


_KINDS = ("channel", "wait", "wait_for", "branch", "end")
_FEWEST_OPTIONS = 2
_CARE = ("retry", "late", "experiment", "holdout")
_MESSAGE_FIELDS = ("sender", *TEXT_FIELDS, "assignee", "payload", *_CARE)
# Steps that become work for a colleague.
_FOR_SOMEBODY = ("task", "linkedin")
_NAMED = (EventKind.CONVERTED, EventKind.CONVERSION_REVERSED, EventKind.CUSTOM)
_EVENT_KEYS = {"name": _NAMED, "url": (EventKind.CLICKED,), "value": (EventKind.CUSTOM,)}
_HOW = {
    "subject": 'write `subject: "…"`',
    "body": "write `body: templates/<name>.md`",
    "text": 'write `text: "…"`',
    "script": 'write `script: "…"`',
    "title": 'write `title: "…"`',
}
