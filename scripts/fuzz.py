"""Sends hostile requests to a real server: nothing may make it fail, fall silent or grow; offenders are kept."""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hostile import Attempt, attempt
from live_server import LAX, ROOT, LiveServer
from rich.progress import Progress
from wire import Answer, Link, Lost, request

FOLDER = ROOT / "state" / "fuzz"
ANSWER_SECONDS = 60
PROBE_SECONDS, PROBE_PAUSE_SECONDS = 5, 0.1
SHAPE = ["type", "title", "detail", "request_id"]
CLASSIFYING = ("image", "json", "multipart")
LEAST_SHARE = 0.02
"""Of the answers to hostile images: with less, the server refused before it looked at them."""


@dataclass
class Findings:
    """What came back."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of each kind of request with each status, "none" where none came."""
    offences: list[str] = field(default_factory=list)
    slowest_probe: float = 0.0

    @property
    def statuses(self) -> Counter[str]:
        """How often each came, for requests of any kind."""
        found: Counter[str] = Counter()
        for (_, status), times in self.answers.items():
            found[status] += times
        return found

    def require_share(self, least: float, kinds: Collection[str], statuses: Collection[str] = ("200",)) -> None:
        """Offend where less than this part of the answers to requests of these kinds has one of these statuses."""
        total = sum(times for (kind, _), times in self.answers.items() if kind in kinds)
        share = sum(self.answers[kind, status] for kind in kinds for status in statuses) / max(1, total)
        if share < least:
            self.note(
                f"{share:.1%} of {total} answers are {' or '.join(statuses)}, not {least:.0%}: {', '.join(kinds)}"
            )

    def offend(self, number: int, one: Attempt, reason: str) -> None:
        """Keep an input that did what none may do."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        name = f"{number:07d}-{one.kind}"
        (FOLDER / f"{name}.bin").write_bytes(one.data)
        (FOLDER / f"{name}.txt").write_text(reason + "\n", encoding="utf-8")
        self.note(f"{name}: {reason}")

    def note(self, offence: str) -> None:
        """An offence that no one input is to blame for."""
        self.offences.append(offence)
        sys.stdout.write(f"{offence}\n")


def judge(one: Attempt, answer: Answer) -> str | None:
    """What is wrong with an answer; None where nothing is."""
    if answer.status >= 500:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if answer.status < 400 or one.method == "HEAD":
        return None
    body = answer.json()
    is_problem = isinstance(body, dict) and list(body) == SHAPE and all(isinstance(text, str) for text in body.values())
    is_v2_error = one.is_v2 and isinstance(body, dict) and isinstance(body.get("error"), str)
    return None if is_problem or is_v2_error else f"status {answer.status} in another shape: {answer.body[:300]!r}"


async def try_one(port: int, link: Link | None, one: Attempt, findings: Findings) -> tuple[Link | None, str | None]:
    """Send one; the connection where it can be used again, and what was wrong."""
    link = link or await Link.open(port)
    if one.leaves:
        with suppress(OSError):
            await link.send(one.data)
        link.close()
        return None, None
    try:
        async with asyncio.timeout(ANSWER_SECONDS if one.proper else 1):
            answer = await link.ask(one.data, one.method)
    except (OSError, Lost, TimeoutError, ValueError) as error:
        link.close()
        findings.answers[one.kind, "none"] += 1
        return None, f"no answer: {error!r}" if one.proper else None
    findings.answers[one.kind, str(answer.status)] += 1
    if answer.closes or not one.proper:
        link.close()
        return None, judge(one, answer)
    return link, judge(one, answer)


async def worker(port: int, attempts: Iterator[tuple[int, Attempt]], findings: Findings) -> None:
    """One client with a connection of its own."""
    link: Link | None = None
    for number, one in attempts:
        try:
            link, offence = await try_one(port, link, one, findings)
        except OSError as error:
            findings.offend(number, one, f"cannot connect: {error}")
            return
        if offence is not None:
            findings.offend(number, one, offence)
    if link is not None:
        link.close()


async def probe(port: int, findings: Findings) -> None:
    """Ask /livez all the time, on a new connection each."""
    while True:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                link = await Link.open(port)
                answer = await link.ask(request("GET", "/livez"))
                link.close()
            if answer.status != 200:
                findings.note(f"/livez answers {answer.status}")
        except (OSError, Lost) as error:  # a TimeoutError is an OSError
            findings.note(f"/livez does not answer: {error!r}")
        findings.slowest_probe = max(findings.slowest_probe, time.monotonic() - begun)
        await asyncio.sleep(PROBE_PAUSE_SECONDS)


async def serves_v2(port: int) -> bool:
    link = await Link.open(port)
    answer = await link.ask(request("GET", "/v2"))
    link.close()
    return answer.status == 200


async def fuzz(port: int, args: argparse.Namespace, memory: "MemoryLog") -> Findings:
    """All requests, or as many as the time allows."""
    findings, end, v2 = Findings(), time.monotonic() + args.seconds, await serves_v2(port)
    with Progress(disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("requests", total=args.requests)

        def attempts() -> Iterator[tuple[int, Attempt]]:
            for number in range(args.first, args.first + args.requests):
                if time.monotonic() > end:
                    return
                yield number, attempt(args.seed, number, v2)
                progress.advance(task)
                if (number - args.first) % max(1, args.requests // 5) == 0:
                    memory.note()

        watch = asyncio.create_task(probe(port, findings))
        shared = attempts()
        await asyncio.gather(*(worker(port, shared, findings) for _ in range(args.connections)))
        watch.cancel()
    memory.note()
    return findings


class MemoryLog:
    """Resident memory of the server at the start, after each fifth of the requests, and once all are answered."""

    def __init__(self, server: LiveServer | None) -> None:
        self._server = server
        self._sizes: list[int] = []

    def note(self) -> None:
        """Now; nothing is known of a server that somebody else started."""
        if self._server is not None and self._server.alive:
            self._sizes.append(self._server.memory() >> 20)

    def __str__(self) -> str:
        return f"{', '.join(map(str, self._sizes))} MiB" if self._sizes else "unknown"


def main() -> int:
    """0 where nothing offended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other requests")
    parser.add_argument("--first", type=int, default=0, help="number of the first request, to come back to one")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--url", help="of a server that runs on loopback; absent: one is started")
    parser.add_argument(
        "--openapi", type=int, default=0, metavar="N", help="also N examples of each documented operation"
    )
    args = parser.parse_args()
    own = LiveServer(FOLDER / "server.log", **LAX) if args.url is None else nullcontext()
    with own as server:
        port = server.port if server is not None else urlsplit(args.url).port or 80
        memory, begun = MemoryLog(server), time.monotonic()
        findings = asyncio.run(fuzz(port, args, memory))
        seconds = time.monotonic() - begun
        findings.require_share(LEAST_SHARE, CLASSIFYING)
        if args.openapi:
            from openapi_cases import check_openapi

            findings.offences += check_openapi(f"http://127.0.0.1:{port}", args.openapi)
        if server is not None and not server.alive:
            findings.note(f"the server ended with {server.process.returncode}")
    total = findings.statuses.total()
    sys.stdout.write(
        f"{total} requests in {seconds:.0f} s ({total / seconds:.0f}/s), seed {args.seed}\n"
        f"answers: {dict(sorted(findings.statuses.items()))}\n"
        f"/livez: slowest {findings.slowest_probe * 1e3:.0f} ms\n"
        f"resident memory: {memory}\n"
        f"offences: {len(findings.offences)}{f', kept in {FOLDER}' if findings.offences else ''}\n"
    )
    return 1 if findings.offences else 0


if __name__ == "__main__":
    sys.exit(main())
