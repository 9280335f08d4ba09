"""What /docs shows of errors: for each status that a route may answer, an answer such as the service gives."""

from typing import Any

from app.errors import INTERNAL, TABLE
from app.schemas import ProblemAnswer

_TYPE = "application/problem+json"
_DETAILS = {
    400: "not JSON: Expecting value: line 1 column 1 (char 0)",
    401: "this needs a key that allows it, as in Authorization: Bearer KEY",
    403: "changes from another site's page are not accepted without an admin key",
    404: "unknown model 'resnet'; served: resnet18_cifar10",
    408: "the body did not arrive within 10000 ms",
    412: "the state has version 7, not '5'",
    413: "a body may have 10485760 bytes",
    415: "GIF is not accepted; JPEG, PNG, WebP and BMP are accepted",
    422: "L must be a whole number in 1..32, 'exact' or 'dense', not 99",
    429: "12 images wait: done in 118 ms, safe in time would be 90 ms",
    500: "a fault of ours; the log has the details under this request id",
    503: "still loading",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer these statuses."""
    return {status: {"model": ProblemAnswer, "content": {_TYPE: {"example": _example(status)}}} for status in statuses}


def _example(status: int) -> dict[str, str]:
    """Of several kinds of one status the first."""
    kind = next(problem for problem in (INTERNAL, *TABLE.values()) if problem.status == status)
    return {
        "type": f"urn:haste:problem:{kind.name}",
        "title": kind.title,
        "detail": _DETAILS[status],
        "request_id": "01M6Z3K2F0D8Q4V9N1XJ7T5RBC",
    }
