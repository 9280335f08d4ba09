"""What the overhead benchmark sends, and what it makes of its figures."""

from io import BytesIO

import pytest
from PIL import Image

from app.load.images import Payload
from benchmarks.overhead import as_jpeg, summary


def test_every_image_is_sent_as_a_jpeg_of_its_size() -> None:
    buffer = BytesIO()
    Image.new("RGB", (32, 32), (200, 10, 10)).save(buffer, "PNG")
    sent = as_jpeg(Payload(buffer.getvalue(), "image/png", "cat"))
    with Image.open(BytesIO(sent.body)) as image:
        assert (image.format, image.size, sent.content_type, sent.label) == ("JPEG", (32, 32), "image/jpeg", "cat")


def test_what_is_added_is_found_within_the_turns_and_the_slower_forward_is_told_apart() -> None:
    figures = {"engine_ms": [5.0, 6.0, 9.0], "service_ms": [7.0, 8.0, 19.0], "server_forward_ms": [5.5, 6.5, 9.5]}
    figures |= {"engine_images": [200.0, 300.0, 100.0], "single_images": [150.0, 225.0, 90.0]}
    figures |= {"eights_images": [180.0, 270.0, 90.0]}
    found = summary(figures, [1.0, 1.0, 30.0])
    assert found["added_ms"] == {"whole": pytest.approx(2.0), "forward": pytest.approx(0.5)}
    assert found["livez_ms"]["p50"] == 1.0
    assert found["throughput"] == {"single": pytest.approx(0.75), "eights": pytest.approx(0.9)}
