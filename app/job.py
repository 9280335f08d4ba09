"""An image that waits with its deadline, and why one may not."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from app.contract import Level
from app.objective import ON_TIME

T = TypeVar("T")


@dataclass(eq=False)
class Job(Generic[T]):
    """One image of a request, in seconds on the clock.

    level: a contract where it is one; None: the controller's choice, not under `min_level`. firm: the deadline was
    asked for by the client; one that is only the objective's is never refused where nothing else waits. reserve: the
    share of the deadline that experience adds to what is left for what comes before and after the engine. answers: its
    share of its request's answer, which the images of a request have together.
    """

    model: str
    level: Level | None
    min_level: Level | None
    arrived: float
    deadline: float
    firm: bool
    payload: T
    reserve: float = 0.0
    answers: float = 1.0

    def __post_init__(self) -> None:
        """`due`: when its answer should leave; some of the time is left for what comes before and after that.

        safe: when it must be predicted to leave, for the image to be accepted.
        """
        self.seconds = self.deadline - self.arrived
        self.due = self.arrived + ON_TIME * self.seconds
        self.safe = self.due - self.reserve * self.seconds


@dataclass(frozen=True)
class Refusal:
    """Why images are not accepted, and the seconds after which the same would be; None where they never would.

    closed: not for what waits, but because nothing is accepted now.
    """

    detail: str
    retry_seconds: float | None
    closed: bool = False
