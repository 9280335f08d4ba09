"""JSON from outside: bounded in depth and in the size of its numbers, no key twice."""

import json

from app.errors import InvalidParameter, MalformedBody, named

_LONGEST_NUMBER = 18


def parse_json(data: bytes) -> object:
    """The value; MalformedBody where it does not parse, InvalidParameter where a key is given twice.

    A whole number of more than 18 digits stays text, which no parameter accepts.
    """
    try:
        return json.loads(data, object_pairs_hook=_no_key_twice, parse_int=_bounded_int)
    except RecursionError:
        raise MalformedBody("the JSON is nested too deeply") from None
    except ValueError as error:
        raise MalformedBody(f"not JSON: {str(error)[:200]}") from None


def parse_object(data: bytes) -> dict[str, object]:
    """The same for what must be an object."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise InvalidParameter(f"the body must be a JSON object, not {named(value)}")
    return value


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise InvalidParameter(f"{named(key)} is given twice")
        values[key] = value
    return values


def _bounded_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits
