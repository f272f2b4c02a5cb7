"""Ticks from the command line, and a loop that ends when told."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

from pipeline.inbound.landing import append_lines, landing_line


def test_a_second_tick_sends_nothing_more_and_names_when_it_goes_on(drip, started):
    told = drip("tick")
    assert "nothing due" in told.out
    assert "next: " in told.out
    assert "mail: " not in told.out
    assert len(list((started / "home" / "maildir").glob("*/new/*"))) == 1


def test_stop_is_said_wherever_it_matters(drip, started):
    (started / "home" / "STOP").touch()
    assert "STOP exists" in drip("tick").out
    assert drip("tick", "--json").json()["is_stopped"] is True
    assert "STOP is in force" in drip("status").out


def test_another_moment_can_be_pretended(drip, started):
    told = drip("tick", "--now", "2030-01-01T12:00", "--json")
    assert told.json()["counts"]["skipped"] == 1
    assert "2030-01-01 12:00" in drip("status").out


def test_a_loop_goes_on_until_it_is_told_to_stop(drip, started):
    command = [sys.executable, "-m", "pipeline.cli", "--home", str(started / "home")]
    command += ["--sequences", str(started / "sequences"), "tick", "--loop", "--every", "0.05"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    now = datetime.now(UTC)
    lead = {"email": "late@example.com"}
    line = landing_line(line_id="1" * 32, received_at=now, source="operator", leads=[lead])
    append_lines(started / "home", "operator", [line], now)
    mail = started / "home" / "maildir"
    deadline = time.monotonic() + 60
    while len(list(mail.glob("*/new/*"))) < 2:
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=30)
    last = "Stopped. Nothing is lost: the next tick goes on where this one ended."
    assert (child.returncode, err.strip()) == (0, last)
    assert "handed_over 1" in out
    assert drip("tick", "--json").json()["counts"] == {}
