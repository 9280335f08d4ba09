"""docs/api.md: every path of the service with its parameters, bodies and answers, out of its OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from result_tables import NOTE, table

from app import refusals
from app.errors import INTERNAL, METHOD_NOT_ALLOWED, TABLE, ClientGone
from app.main import create_app
from app.settings import Settings

_LONGEST_TEXT = 24
_INTRODUCTION = """# HTTP API

The service describes itself at `/docs` and `/openapi.json`; this page is the same document as text. Clients of the Open
Inference Protocol find its tensors and parameters on [a page of their own](protocol-v2.md).

What can go wrong has one shape, [ProblemAnswer](#problemanswer), and one table, here; `/v2` answers
[ProtocolError](#protocolerror) instead, with 400 for 422. The names follow `urn:haste:problem:` in `type`."""

Json = Mapping[str, Any]


def api_page() -> str:
    """Errors, operations by tag, then the objects that they name."""
    document = create_app(Settings()).openapi()
    parts = [_INTRODUCTION, NOTE, _errors()]
    tag = None
    for path, methods, operation in _operations(document):
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            parts.append(f"## {tag[:1].upper()}{tag[1:]}")
        parts += _operation(path, methods, operation)
    parts.append("## Objects")
    for name, schema in document["components"]["schemas"].items():
        parts += [f"### {name}", schema.get("description", "")]
        parts += [_fields(schema)] if "properties" in schema else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _errors() -> str:
    """All of them but the one that no client is there to read."""
    kinds = [problem for kind, problem in TABLE.items() if kind is not ClientGone]
    every = [(problem.status, problem.name, problem.title) for problem in (*kinds, METHOD_NOT_ALLOWED, INTERNAL)]
    every += [
        (refusal.status, refusal.name, refusal.title)
        for refusal in vars(refusals).values()
        if isinstance(refusal, refusals.Refusal)
    ]
    return table(
        ("status", "name", "what"), [(str(status), f"`{name}`", what) for status, name, what in sorted({*every})]
    )


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, verbs and operation, those of one tag together, in the order of the document; equal ones once."""
    every: dict[tuple[str, str], tuple[list[str], Json]] = {}
    for path, verbs in document["paths"].items():
        for method, operation in verbs.items():
            same = json.dumps({**operation, "operationId": ""})
            every.setdefault((path, same), ([], operation))[0].append(method.upper())
    tags = list(dict.fromkeys(operation["tags"][0] for _, operation in every.values()))
    for (path, _), (methods, operation) in sorted(every.items(), key=lambda one: tags.index(one[1][1]["tags"][0])):
        yield path, ", ".join(sorted(methods)), operation


def _operation(path: str, methods: str, operation: Json) -> list[str]:
    parts = [f"### {methods} {path}", f"{operation['summary']}.", operation.get("description", "")]
    parameters = [
        (f"`{each['name']}`", each["in"], _type(each["schema"]), each.get("description", ""))
        for each in operation.get("parameters", ())
    ]
    parts += [table(("parameter", "in", "type", "what"), parameters)] if parameters else []
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        parts.append(f"Body `{kind}`: {_type(schema)}.")
        parts += [_fields(schema)] if kind == "multipart/form-data" else _examples(content)  # JSON is shown by example
    good = [_answer(status, answer) for status, answer in operation["responses"].items() if status < "400"]
    errors = [status for status in operation["responses"] if status >= "400"]
    return [*parts, *good, f"Errors: {', '.join(errors)}." if errors else ""]


def _examples(content: Json) -> Iterator[str]:
    for name, example in content.get("examples", {}).items():
        yield f"{name[:1].upper()}{name[1:]}:\n\n```json\n{json.dumps(_shortened(example['value']))}\n```"


def _shortened(value: Any) -> Any:
    """An example without the whole text of an image."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return f"{value[:_LONGEST_TEXT]}..." if isinstance(value, str) and len(value) > _LONGEST_TEXT else value


def _answer(status: str, answer: Json) -> str:
    kinds = [f"`{kind}`, {_type(content.get('schema', {}))}" for kind, content in answer.get("content", {}).items()]
    what = "" if answer["description"] == "Successful Response" else f" {answer['description']}."
    return f"Answer {status}{': ' if kinds else ''}{'; '.join(kinds)}.{what}"


def _fields(schema: Json) -> str:
    rows = [(f"`{name}`", _type(field), field.get("description", "")) for name, field in schema["properties"].items()]
    return table(("field", "type", "what"), rows)


def _type(schema: Json) -> str:
    """A schema in a few words; an object of the document as a link."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, options)))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = schema.get("items", {}) or {"anyOf": schema.get("prefixItems", ())}
        return f"list of {_type(items)}"
    bounds = [f"{sign} {schema[name]}" for name, sign in (("minimum", "≥"), ("maximum", "≤")) if name in schema]
    kind = "bytes" if schema.get("format") == "binary" else schema.get("type", "any")
    return " ".join([str(kind), *bounds])
