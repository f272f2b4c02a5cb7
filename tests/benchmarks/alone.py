"""One function in a process of its own, so that its time and its memory are its own.

Belongs here: starting it, its answer, the peak of its resident memory. Does not: what it does.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_alone(function: str, *arguments: object, timeout: float = 600) -> tuple[Any, float]:
    """Run `package.module:function` in a child and return its answer and its peak RSS in GiB.

    Args:
        function: importable, of arguments and an answer that JSON knows.
        arguments: for it, in order.
        timeout: seconds until the child is killed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.alone", function, json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{function} failed with exit code {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["answer"], answer["peak_gib"]


def peak_rss_gib() -> float:
    """Return the peak of this process, in GiB.

    Linux hands a parent's peak down to its children in `getrusage`; `VmHWM` begins anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def main() -> None:
    """Run what the command line names, and print the answer as one line of JSON."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    module, function = name.split(":")
    answer = getattr(importlib.import_module(module), function)(*arguments)
    sys.stdout.write(json.dumps({"answer": answer, "peak_gib": peak_rss_gib()}) + "\n")


if __name__ == "__main__":
    main()
