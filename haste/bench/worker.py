"""A contender's process: builds it from the job on standard input, then runs and times it line by line."""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from haste.bench.contenders import CONTENDERS, Floats, Job, Run

GATE_IMAGES = 8
_WARM_UP = 2
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer the job with version and logits, and each turn with its times, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    if sys.platform == "linux":  # asleep, it would not notice that its parent is gone
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    answer = _claim_output()
    job = Job(**json.loads(sys.stdin.readline()))
    contender = CONTENDERS[job.runtime]
    images = np.load(Path(job.folder) / "images.npy")
    batches = batches_of(images, job.batch)
    run = contender.build(job)
    logits = np.concatenate([run(batch) for batch in batches])[: min(GATE_IMAGES, len(images))]
    answer({"version": contender.version(), "logits": logits.tolist()})
    for line in sys.stdin:
        turn = json.loads(line)
        answer({"times_ms": timed(run, batches, turn["first"], turn["runs"])})


def batches_of(images: Floats, size: int) -> list[Floats]:
    """All images in order in batches of that size; the first ones fill up the last batch."""
    count = -(-len(images) // size)
    order = np.arange(count * size).reshape(count, size) % len(images)
    return [np.ascontiguousarray(images[row]) for row in order]


def timed(run: Run, batches: list[Floats], first: int, runs: int) -> list[float]:
    """Milliseconds of each of `runs` batches, from number `first` on, after two that are not timed."""
    times = []
    for step in range(first, first + _WARM_UP + runs):
        batch = batches[step % len(batches)]
        start = time.perf_counter_ns()
        run(batch)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times[_WARM_UP:]


def _claim_output() -> Callable[[dict[str, Any]], None]:
    """Standard output for the answers alone: what a runtime prints goes to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=wire, flush=True)

    return answer


if __name__ == "__main__":
    main()
