"""multipart/form-data in memory: parts with their names, within limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedBody

MAX_PARTS = 1024
MAX_HEADERS = 8  # of a part
MAX_HEADER_BYTES = 2_048


@dataclass
class Part:
    """One part: its field's name, whether it is a file, its content."""

    name: str = ""
    is_file: bool = False
    content: bytearray = field(default_factory=bytearray)
    headers: dict[str, str] = field(default_factory=dict)


def parse_multipart(body: bytes, content_type: str) -> list[Part]:
    """All parts in order; MalformedBody where the body is no multipart or ends too early."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MalformedBody("the content type of a multipart body must name its boundary")
    collector = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            collector.callbacks(),  # type: ignore[arg-type]
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise MalformedBody(f"not multipart: {str(error)[:200]}") from None
    if not collector.ended:
        raise MalformedBody("the multipart body ends before its last boundary")
    return collector.parts


class _Collector:
    """Takes the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._header, self._value = b"", b""

    def callbacks(self) -> Mapping[str, object]:
        names = ("part_begin", "part_data", "header_field", "header_value", "header_end", "headers_finished", "end")
        return {f"on_{name}": getattr(self, f"on_{name}") for name in names}

    def on_part_begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise MalformedBody(f"a multipart body may have {MAX_PARTS} parts")
        self.parts.append(Part())

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self.parts[-1].headers[self._header.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._header, self._value = b"", b""

    def on_headers_finished(self) -> None:
        part = self.parts[-1]
        options = parse_options_header(part.headers.get("content-disposition"))[1]
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        part.is_file = b"filename" in options or "content-type" in part.headers

    def on_end(self) -> None:
        self.ended = True
