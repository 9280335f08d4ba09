"""Asks a running server everything that its OpenAPI document allows, and more: answers must be as documented."""

from collections.abc import Callable, Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def check_openapi(url: str, examples: int) -> list[str]:
    """What did not hold, one text each; `examples` requests an operation, good and bad, always the same."""
    return [f"{label}: {text}" for label, check in _checks(url, examples) for text in _failures(check)]


def _checks(url: str, examples: int) -> Iterator[tuple[str, Callable[[], None]]]:
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        if not isinstance(found, Ok):
            raise found.err()
        operation = found.ok()
        for mode in GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)
            yield operation.label, _check(strategy, -(-examples // len(GenerationMode)))


def _check(cases: SearchStrategy[Case[Any]], examples: int) -> Callable[[], None]:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def check(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    return check


def _failures(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except FailureGroup as group:
        return [str(failure) for failure in group.exceptions]
    except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
        pass
    return []
