"""A contender's process as its parent sees it: asleep but for its turn, and never waited for beyond a deadline."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from haste.bench.contenders import Job

WORKER = (sys.executable, "-m", "haste.bench.worker")
_GRACE_S = 2.0


class Lost(Exception):
    """A contender that died or did not answer in time; the message names it and tells its last words."""


class Child:
    """One process; `ask` wakes it, hands it a line and puts it to sleep again once it has answered."""

    def __init__(self, job: Job, command: Sequence[str] = WORKER) -> None:
        self.job = job
        self._log = Path(job.folder) / f"{job.title.replace(' ', '-')}-{job.threads}-{job.batch}.log"
        self._read = b""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": str(job.threads)},
            )

    def start(self, deadline_s: float) -> dict[str, Any]:
        """Hand over the job; the answer: version and logits."""
        return self.ask(asdict(self.job), deadline_s)

    def ask(self, message: dict[str, Any], deadline_s: float) -> dict[str, Any]:
        """The answer to one line; Lost where none comes within so many seconds."""
        assert self._process.stdin
        try:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Lost(self._last_words("died")) from None
        answer: dict[str, Any] = json.loads(self._line(time.monotonic() + deadline_s, deadline_s))
        self._process.send_signal(signal.SIGSTOP)  # some runtimes' threads would spin on and disturb the others
        return answer

    def end(self) -> None:
        """End the process, kindly at first."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.send_signal(signal.SIGCONT)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self, until: float, deadline_s: float) -> bytes:
        assert self._process.stdout
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._read:
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise Lost(self._last_words(f"did not answer within {deadline_s:g} s"))
            more = os.read(pipe, 1 << 16)
            if not more:
                raise Lost(self._last_words("died"))
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _last_words(self, what: str) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{self.job.title} {what}: {lines[-1] if lines else 'it said nothing'}"
