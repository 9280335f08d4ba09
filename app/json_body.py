"""JSON from outside: bounded in depth, in values and in the length of its numbers, no key twice."""

import json

from app.errors import InvalidParameter, MalformedBody, named

MAX_DEPTH = 32
MAX_VALUES = 10_000
_LONGEST_WHOLE_NUMBER = 18
_LONGEST_NUMBER = 64


def parse_json(data: bytes, max_values: int = MAX_VALUES) -> object:
    """The value; MalformedBody where it does not parse or goes over a bound, InvalidParameter where a key comes twice.

    Values are bounded before anything is built, by the commas and opening brackets of the text: a body of a few MiB
    could otherwise become lists of hundreds. A whole number of more than 18 digits stays text, which no parameter
    accepts.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > max_values:
        raise MalformedBody(f"a JSON body may hold {max_values} values, this one may hold more")
    try:
        value: object = json.loads(
            data,
            object_pairs_hook=_no_key_twice,
            parse_int=_bounded_int,
            parse_float=_bounded_float,
        )
    except RecursionError:
        raise MalformedBody(_TOO_DEEP) from None
    except ValueError as error:
        raise MalformedBody(f"not JSON: {str(error)[:200]}") from None
    _check_depth(value)
    return value


def parse_object(data: bytes, max_values: int = MAX_VALUES) -> dict[str, object]:
    """The same for what must be an object."""
    value = parse_json(data, max_values)
    if not isinstance(value, dict):
        raise InvalidParameter(f"the body must be a JSON object, not {named(value)}")
    return value


_TOO_DEEP = f"JSON may be nested {MAX_DEPTH} levels deep, this one is deeper"


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        parts = [part for part in level if isinstance(part, dict | list)]
        if not parts:
            return
        level = [one for part in parts for one in (part.values() if isinstance(part, dict) else part)]
    if any(isinstance(part, dict | list) for part in level):
        raise MalformedBody(_TOO_DEEP)


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise InvalidParameter(f"{named(key)} is given twice")
        values[key] = value
    return values


def _bounded_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else digits


def _bounded_float(digits: str) -> float | str:
    return float(digits) if len(digits) <= _LONGEST_NUMBER else digits
