"""Where images are prepared: small JPEGs on the event loop, all others in the decoders' threads."""

import asyncio
import threading

import pytest
from PIL import Image

from app.contract import Picture, Prepared
from app.images import ImageLimits
from app.preparation import Preparation
from app.small_jpeg import SMALL_BYTES
from tests.app.harness import Client, FakeEngine, encoded

SMALL, SMALL_PNG = encoded("JPEG"), encoded(size=(16, 16))
FEW_BYTES_MANY_PIXELS = encoded("JPEG", size=(300, 300))


class Watched(FakeEngine):
    """Knows the names of the threads that prepared an image of each width."""

    def __init__(self) -> None:
        super().__init__("small")
        self.threads: dict[int, str] = {}

    def prepare(self, model: str, image: Picture) -> Prepared:
        width = image.width if isinstance(image, Image.Image) else image.shape[1]
        self.threads[width] = threading.current_thread().name
        return super().prepare(model, image)


@pytest.fixture
def engine() -> Watched:
    return Watched()


def is_decoder(name: str) -> bool:
    return name.startswith("decode")


def test_a_jpeg_of_few_bytes_and_pixels_waits_for_no_thread(client: Client, engine: Watched) -> None:
    assert client.classify(SMALL).status_code == 200
    assert not any(map(is_decoder, engine.threads.values()))


def test_a_small_file_that_may_inflate_does_not_hold_the_loop(client: Client, engine: Watched) -> None:
    assert client.classify(SMALL_PNG).status_code == 200
    assert is_decoder(engine.threads[16])


def test_a_file_of_few_bytes_with_many_pixels_does_not_hold_the_loop(client: Client, engine: Watched) -> None:
    assert len(FEW_BYTES_MANY_PIXELS) < SMALL_BYTES
    assert client.classify(FEW_BYTES_MANY_PIXELS).status_code == 200
    assert is_decoder(engine.threads[300])


def test_a_long_thin_jpeg_does_not_hold_the_loop(client: Client, engine: Watched) -> None:
    long = encoded("JPEG", size=(65, 8))
    assert len(long) < SMALL_BYTES
    assert client.classify(long).status_code == 200
    assert is_decoder(engine.threads[65])


def test_small_ones_are_decoded_one_a_turn_of_the_loop(client: Client, engine: Watched) -> None:
    turn, found = 0, list[int]()

    class Noting(Watched):
        def prepare(self, model: str, image: Picture) -> Prepared:
            found.append(turn)
            return super().prepare(model, image)

    async def prepare() -> None:
        def next_turn() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(next_turn)

        loop = asyncio.get_running_loop()
        loop.call_soon(next_turn)
        own = Preparation(Noting(), client.service.decoders, ImageLimits(1 << 20, 1 << 20, 10_000))
        both = own.prepare("small", [SMALL] * 3), own.prepare("small", [SMALL] * 3)
        assert [len(one) for one in await asyncio.gather(*both)] == [3, 3]

    client.run(prepare)
    assert len(set(found)) == len(found) == 6


def test_images_of_both_kinds_are_answered_in_their_order_and_a_bad_one_is_named(
    client: Client, engine: Watched
) -> None:
    files = [("image", FEW_BYTES_MANY_PIXELS), ("image", SMALL), ("image", FEW_BYTES_MANY_PIXELS)]
    assert len(client.classify(files=files).json()["results"]) == 3
    assert [is_decoder(name) for _, name in sorted(engine.threads.items())] == [False, True]
    for place, bad in ((1, SMALL[:-30]), (2, b"x" * 2 * SMALL_BYTES)):
        answer = client.classify(files=[*files[:place], ("image", bad), *files[place + 1 :]])
        assert (answer.status_code, answer.json()["detail"][:8]) == (400, f"image {place}:")
