"""Ends a loaded server with SIGTERM, round after round, and counts the requests that got no answer: none may."""

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from live_server import CALIBRATED, ROOT, LiveServer
from wire import Link, Lost, request

CAT = (ROOT / "haste" / "samples" / "cat.jpg").read_bytes()
PINNED, STEERED = (request("POST", f"/classify{query}", CAT, Content_Type="image/jpeg") for query in ("?L=8", ""))
GOOD = {"before": (200, 429), "after": (200, 429, 503)}
"""Answers that a request may get, by when it was sent: one that was on its way at the signal is answered."""
LATEST_SECONDS = 30


@dataclass
class Round:
    """What one server's clients saw; times are of the monotonic clock."""

    signalled: float | None = None
    answers: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def when(self) -> str:
        return "before" if self.signalled is None else "after"

    def lose(self, how: str, sent: float, sent_when: str, error: BaseException) -> None:
        told = "" if self.signalled is None else f", {1e3 * (sent - self.signalled):+.1f} ms from the signal"
        self.lost.append(f"{how}, sent {sent_when} it{told}: {error!r}")


async def client(port: int, outcome: Round, asked: bytes, keep_alive: bool, pause: float, rng: random.Random) -> None:
    """Requests one after another, until nobody listens any more."""
    link: Link | None = None
    how = "keep-alive" if keep_alive else "new connection"
    while True:
        try:
            link = link or await Link.open(port)
        except OSError as error:
            if outcome.signalled is None:
                outcome.lose("connect", time.monotonic(), "before", error)
            return
        sent, sent_when = time.monotonic(), outcome.when()
        try:
            answer = await link.ask(asked)
        except (OSError, Lost) as error:
            outcome.lose(how, sent, sent_when, error)
            link.close()
            link = None
            continue
        outcome.answers[f"{sent_when}: {answer.status}"] += 1
        if answer.status not in GOOD[sent_when]:
            outcome.lost.append(f"{how}: status {answer.status}: {answer.body[:200]!r}")
        if not keep_alive or answer.closes:
            link.close()
            link = None
        await asyncio.sleep(rng.uniform(0, pause))


async def one_round(server: LiveServer, clients: int, asked: bytes, rng: random.Random) -> tuple[Round, float]:
    """The outcome, and the seconds from the signal to the end of the process."""
    outcome = Round()
    work = [
        asyncio.create_task(client(server.port, outcome, asked, number % 2 == 0, (0.0, 0.05, 0.6)[number % 3], rng))
        for number in range(clients)
    ]
    await asyncio.sleep(rng.uniform(0.5, 2.0))
    outcome.signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(server.process.wait, LATEST_SECONDS)
    seconds = time.monotonic() - outcome.signalled
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*work), 5)
    return outcome, seconds


def main() -> int:
    """0 where no round lost a request and every server ended with 0 in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    calibrated = "two threads, calibrated, for the default objective: the controller moves while the server ends"
    parser.add_argument("--calibrated", action="store_true", help=calibrated)
    args = parser.parse_args()
    settings, asked = (CALIBRATED, STEERED) if args.calibrated else ({}, PINNED)
    rng, failed = random.Random(args.seed), 0
    for number in range(1, args.rounds + 1):
        with LiveServer(Path(ROOT / "state" / "sigterm.log"), decode_threads=2, **settings) as server:
            outcome, seconds = asyncio.run(one_round(server, args.clients, asked, rng))
            code = server.process.poll()
        if not outcome.answers["before: 200"]:
            outcome.lost.append("nothing was classified before the signal")
        good = not outcome.lost and code == 0
        failed += not good
        sys.stdout.write(
            f"round {number}: {dict(sorted(outcome.answers.items()))}; {len(outcome.lost)} lost; "
            f"ended with {code} after {seconds:.2f} s\n" + "".join(f"  {line}\n" for line in outcome.lost[:10])
        )
        sys.stdout.flush()
    sys.stdout.write(f"{args.rounds - failed} of {args.rounds} rounds lost nothing and ended with 0\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
