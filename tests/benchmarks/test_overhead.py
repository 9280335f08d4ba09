"""What the overhead benchmark sends."""

from io import BytesIO

from PIL import Image

from app.load.images import Payload
from benchmarks.overhead import as_jpeg


def test_every_image_is_sent_as_a_jpeg_of_its_size() -> None:
    buffer = BytesIO()
    Image.new("RGB", (32, 32), (200, 10, 10)).save(buffer, "PNG")
    sent = as_jpeg(Payload(buffer.getvalue(), "image/png", "cat"))
    with Image.open(BytesIO(sent.body)) as image:
        assert (image.format, image.size, sent.content_type, sent.label) == ("JPEG", (32, 32), "image/jpeg", "cat")
