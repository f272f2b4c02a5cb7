import asyncio
import json
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inbound.landing import (
    Landing,
    LandingFailed,
    Segment,
    append_lines,
    encode_line,
    format_instant,
    landing_line,
    random_id,
    segment_name,
)

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def line(number: int) -> dict[str, object]:
    return landing_line(line_id=f"{number:032x}", received_at=NOW, source="tracker")


def read(folder: Path) -> list[str]:
    return [
        json.loads(text)["id"]
        for path in sorted(folder.glob("*.jsonl"))
        for text in path.read_text().splitlines()
    ]


def test_a_line_has_every_field_and_instants_are_utc_with_microseconds() -> None:
    berlin = datetime.fromisoformat("2026-11-02T10:30:00+01:00")
    assert landing_line(line_id="a", received_at=berlin, source="api", error="why", raw="x") == {
        "id": "a",
        "received_at": "2026-11-02T09:30:00.000000Z",
        "source": "api",
        "leads": [],
        "events": [],
        "raw": "x",
        "error": "why",
    }
    assert len(random_id()) == 32


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_makes_one_line_of_valid_utf8_json(text: str) -> None:
    encoded = encode_line({"raw": text})
    assert encoded.count(b"\n") == 1
    decoded = json.loads(encoded.decode())["raw"]
    assert decoded == text.encode("utf-8", "replace").decode()


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zone comes beside it
        max_value=datetime(2199, 1, 1),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
def test_an_instant_comes_back_from_its_text(moment: datetime) -> None:
    assert datetime.fromisoformat(format_instant(moment)) == moment.astimezone(UTC)


def test_segments_are_named_by_writer_time_and_id() -> None:
    assert segment_name("inbound", NOW, "0123456789") == "inbound-20261102T093000-01234567.jsonl"
    with pytest.raises(ValueError, match="'nobody' writes no segments"):
        segment_name("nobody", NOW, "0" * 32)


def test_appended_lines_are_a_segment_of_their_own(tmp_path: Path) -> None:
    first = append_lines(tmp_path, "import", (line(n) for n in range(3)), NOW)
    second = append_lines(tmp_path, "import", [line(3)], NOW)
    assert first is not None
    assert second is not None
    assert first != second
    assert first.stat().st_mode & 0o777 == 0o600
    assert sorted(read(tmp_path / "landing")) == [f"{n:032x}" for n in range(4)]


def test_no_lines_make_no_segment(tmp_path: Path) -> None:
    assert append_lines(tmp_path, "operator", [], NOW) is None
    assert not (tmp_path / "landing").exists()


def test_lines_that_cannot_all_be_read_land_none(tmp_path: Path) -> None:
    def broken() -> object:
        yield landing_line(line_id="a", received_at=NOW, source="x", raw="y" * 2_000_000)
        raise RuntimeError("source broke off")

    with pytest.raises(RuntimeError, match="source broke off"):
        append_lines(tmp_path, "import", broken(), NOW)  # type: ignore[arg-type]
    assert list((tmp_path / "landing").iterdir()) == []


def test_a_landing_folder_that_cannot_be_made_gives_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("a file where the folder should be")
    with pytest.raises(LandingFailed, match=r"landing cannot be written .* Nothing was taken in"):
        append_lines(tmp_path, "import", [line(1)], NOW)


def test_a_segment_is_left_for_a_new_one_when_the_hour_changes(tmp_path: Path) -> None:
    moment = NOW
    segment = Segment(tmp_path, "inbound", lambda: moment)
    segment.append(encode_line(line(1)))
    moment = NOW + timedelta(minutes=29)
    segment.append(encode_line(line(2)))
    moment = NOW + timedelta(minutes=30)
    segment.append(encode_line(line(3)))
    segment.close()
    names = sorted(path.name[:23] for path in (tmp_path / "landing").iterdir())
    assert names == ["inbound-20261102T093000", "inbound-20261102T100000"]
    assert read(tmp_path / "landing") == [f"{n:032x}" for n in (1, 2, 3)]


def test_a_segment_name_that_exists_is_not_written_to(tmp_path: Path) -> None:
    ids = iter(["0" * 32, "0" * 32, "1" * 32])
    first = Segment(tmp_path, "inbound", lambda: NOW, lambda: next(ids))
    first.append(b"{}\n")
    second = Segment(tmp_path, "inbound", lambda: NOW, lambda: next(ids))
    second.append(b"{}\n")
    first.close()
    second.close()
    assert len(list((tmp_path / "landing").iterdir())) == 2


def test_a_hundred_waiting_lines_share_few_writes_and_all_land(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "inbound", lambda: NOW)

    async def run() -> None:
        await asyncio.gather(*(landing.append(line(n)) for n in range(100)))
        await landing.append(line(100), line(101))

    asyncio.run(run())
    landing.close()
    assert sorted(read(tmp_path / "landing")) == [f"{n:032x}" for n in range(102)]
    assert landing.count_lines == 102


def test_one_cancelled_waiter_takes_nobody_along(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "inbound", lambda: NOW)

    async def run() -> list[object]:
        tasks = [asyncio.create_task(landing.append(line(n))) for n in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    assert [type(result) for result in results].count(asyncio.CancelledError) == 1
    assert [result for result in results if result is None] == [None] * 4
    assert len(read(tmp_path / "landing")) == 5


def test_landing_outlives_a_loop_that_was_stopped_in_the_middle(tmp_path: Path) -> None:
    landing = Landing(tmp_path, "inbound", lambda: NOW)

    async def stopped() -> None:
        for number in range(2):
            asyncio.get_running_loop().create_task(landing.append(line(number)))
            await asyncio.sleep(0)

    asyncio.run(stopped())
    asyncio.run(landing.append(line(7)))
    assert f"{7:032x}" in read(tmp_path / "landing")


def test_a_clock_that_fails_is_told_to_whoever_waits(tmp_path: Path) -> None:
    ticks = count()

    def clock() -> datetime:
        if next(ticks) == 0:
            raise RuntimeError("no clock")
        return NOW

    landing = Landing(tmp_path, "inbound", clock)
    with pytest.raises(RuntimeError, match="no clock"):
        asyncio.run(landing.append(line(1)))
    assert landing.is_failing
    asyncio.run(landing.append(line(2)))
    assert not landing.is_failing
    assert read(tmp_path / "landing") == [f"{2:032x}"]


FULL_DISK = """
import asyncio, json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.inbound.landing import Landing, LandingFailed, append_lines, landing_line

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
home = Path(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

def line(number):
    return landing_line(line_id=f"{number:032x}", received_at=NOW, source="tracker")

async def batch(landing, numbers):
    results = await asyncio.gather(*(landing.append(line(n)) for n in numbers),
                                   return_exceptions=True)
    return [n for n, result in zip(numbers, results) if result is None], results

async def main():
    landing = Landing(home, "inbound", lambda: NOW)
    taken, _ = await batch(landing, range(3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    # 100 lines are more than the file may hold: the kernel takes a part and refuses the rest.
    refused, results = await batch(landing, range(100, 200))
    assert refused == [], refused
    assert all(isinstance(result, LandingFailed) for result in results), results[0]
    assert "cannot be written" in str(results[0])
    assert landing.is_failing
    more, _ = await batch(landing, range(200, 205))
    big = landing_line(line_id="f" * 32, received_at=NOW, source="tracker", raw="x" * 9000)
    try:
        append_lines(home, "import", [big], NOW)
    except LandingFailed as error:
        pass
    else:
        raise AssertionError("a line larger than the disk has landed")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    rest, _ = await batch(landing, range(300, 303))
    landing.close()
    print(json.dumps(taken + more + rest))

asyncio.run(main())
"""


def test_on_a_full_disk_nobody_is_answered_nothing_is_torn_and_landing_goes_on(
    tmp_path: Path,
) -> None:
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    taken = [f"{number:032x}" for number in json.loads(child.stdout)]
    assert len(taken) == 11
    assert sorted(read(tmp_path / "landing")) == sorted(taken)
    assert all(
        path.read_bytes().endswith(b"\n") and path.suffix == ".jsonl"
        for path in (tmp_path / "landing").iterdir()
    )
