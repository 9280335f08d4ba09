"""What the doctor asks of haste itself: the processor's name and the implementations of the method."""

from dataclasses import dataclass

from haste import kernel

REFERENCE = kernel.REFERENCE


@dataclass(frozen=True)
class Implementations:
    """`available`: those that run here, the fastest first; `used`, or the `error` where the one asked for is not."""

    available: tuple[str, ...]
    used: str | None
    error: str = ""


def implementations() -> Implementations:
    """As this environment has it."""
    available = tuple(kernel.implementations())
    try:
        return Implementations(available, kernel.implementation())
    except ValueError as error:
        return Implementations(available, None, str(error))


def processor_name() -> str:
    return kernel.cpu()
