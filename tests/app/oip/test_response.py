"""What is answered to an infer request, byte by byte."""

import json

import numpy as np
import pytest

from app.contract import ImageResult, Level, Prediction
from app.oip.request import InferRequest, Output
from app.oip.response import ImageAnswer, encode
from tests.app.harness import CLASSES, fake_flops, info


def answer(level: Level, best: int = 0, *, degraded: bool = False) -> ImageAnswer:
    """Probabilities 0.5, 0.25 ... from the best class on."""
    order = [(best + i) % len(CLASSES) for i in range(len(CLASSES))]
    predictions = tuple(Prediction(CLASSES[index], index, 0.5 ** (i + 1)) for i, index in enumerate(order))
    return ImageAnswer(ImageResult(predictions, fake_flops(level)), level, degraded)


def test_binary_and_json_hold_the_same_values_in_the_order_of_the_classes() -> None:
    answers = [answer(8, 0), answer(8, 3)]
    in_json = encode(info("small"), InferRequest(), answers)
    in_binary = encode(info("small"), InferRequest(output=Output(binary=True)), answers)
    assert (in_json.header_length, in_binary.header_length is not None) == (None, True)
    values = np.frombuffer(in_binary.body[in_binary.header_length :], "<f4").reshape(2, 10)
    assert (values[0, 0], values[1, 3], values[1, 2]) == (0.5, 0.5, 0.5**10)
    assert json.loads(in_json.body)["outputs"][0]["data"] == values.ravel().tolist()


@pytest.mark.parametrize(
    ("levels", "told"), [((8,), 8), (("exact", "exact"), "exact"), ((12, "exact", 8), "12,exact,8")]
)
def test_one_level_is_told_as_it_is_and_several_image_by_image(levels: tuple[Level, ...], told: object) -> None:
    body = json.loads(encode(info("small"), InferRequest(), [answer(level) for level in levels]).body)
    assert body["parameters"]["haste_l"] == told


def test_the_reduction_is_of_all_images_together_and_one_degraded_image_is_told() -> None:
    answers = [answer("dense"), answer("exact", degraded=True)]
    parameters = json.loads(encode(info("small"), InferRequest(), answers).body)["parameters"]
    assert parameters["haste_reduction"] == pytest.approx(fake_flops("exact").reduction / 2)
    assert parameters["haste_degraded"] is True


def test_an_id_of_any_text_comes_back() -> None:
    identity = 'é\ud800"\\\n'
    assert json.loads(encode(info("small"), InferRequest(identity), [answer(8)]).body)["id"] == identity
