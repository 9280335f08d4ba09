"""Triton's own client, unchanged, against the real server: the protocol as others speak it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from haste.dataset import SAMPLES, read_photos
from haste.models import DEFAULT, list_pretrained

CAT, DOG = ((SAMPLES / f"{name}.jpg").read_bytes() for name in ("cat", "dog"))
(RECORD,) = (record for record in list_pretrained() if record.name == DEFAULT)
CLIENTS = 32


@pytest.fixture
def client(server: httpx.Client) -> Iterator[Any]:
    with triton.InferenceServerClient(f"{server.base_url.host}:{server.base_url.port}", network_timeout=60) as client:
        yield client


def photos(*encoded: bytes, shape: tuple[int, ...] = (-1,)) -> Any:
    """Encoded images as the tensor `image`, in binary."""
    array = np.array(encoded, np.object_).reshape(shape)
    tensor = triton.InferInput("image", list(array.shape), "BYTES")
    tensor.set_data_from_numpy(array)
    return tensor


def tensor(values: np.ndarray[Any, Any], *, binary: bool) -> Any:
    found = triton.InferInput("input", list(values.shape), "FP32")
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def infer(client: Any, sent: Any, **options: Any) -> Any:
    return client.infer(DEFAULT, [sent], **options)


def test_the_client_finds_everything_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(DEFAULT)
    assert client.is_model_ready(DEFAULT, "1")
    assert not client.is_model_ready("nope")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata(DEFAULT)["outputs"][0]["shape"] == [-1, len(RECORD.classes)]
    assert client.get_model_config(DEFAULT, "1")["max_batch_size"] == 16


@pytest.mark.parametrize("level", [8, "exact", "dense"])
def test_images_are_answered_as_classify_answers_them(client: Any, server: httpx.Client, level: int | str) -> None:
    result = infer(client, photos(CAT, DOG, shape=(2, 1)), request_id="two", parameters={"haste_l": level})
    answer, probabilities = result.get_response(), result.as_numpy("probabilities")
    assert (answer["id"], answer["parameters"]["haste_l"]) == ("two", level)
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (2, len(RECORD.classes)))
    query = f"/classify?L={level}&top_k={len(RECORD.classes)}"
    results = server.post(query, files=[("image", CAT), ("image", DOG)]).json()["results"]
    for row, one in zip(probabilities, results, strict=True):
        wanted = [found["probability"] for found in sorted(one["predictions"], key=lambda found: found["index"])]
        np.testing.assert_allclose(row, wanted, atol=1e-6)
    flops = [one["flops"] for one in results]
    reduction = 1 - sum(one["executed"] for one in flops) / sum(one["dense"] for one in flops)
    assert answer["parameters"]["haste_reduction"] == pytest.approx(reduction)


def test_a_prepared_tensor_in_json_and_binary_is_answered_as_its_image_is(client: Any) -> None:
    images = read_photos(SAMPLES, RECORD)
    values = np.stack([np.asarray(image, np.float32) for image in images])
    names = sorted(SAMPLES.glob("*.jpg"))
    wanted = infer(client, photos(*(name.read_bytes() for name in names))).as_numpy("probabilities")
    for binary_in in (False, True):
        for binary_out in (False, True):
            outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_out)]
            result = infer(client, tensor(values, binary=binary_in), outputs=outputs)
            np.testing.assert_allclose(result.as_numpy("probabilities"), wanted, atol=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_classes_are_named_best_first(client: Any, binary: bool) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    named = infer(client, photos(CAT, DOG), outputs=outputs).as_numpy("probabilities")
    assert named.shape == (2, 2)
    texts = [one.decode() if isinstance(one, bytes) else one for one in named[:, 0]]
    assert [text.split(":")[2] for text in texts] == ["cat", "dog"]


def test_statistics_grow_by_what_was_asked(client: Any) -> None:
    def counts() -> tuple[int, int]:
        (stats,) = client.get_inference_statistics(DEFAULT)["model_stats"]
        return stats["inference_stats"]["success"]["count"], stats["inference_count"]

    before = counts()
    infer(client, photos(CAT, DOG))
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [1, 2]
    assert client.get_inference_statistics()["model_stats"][0]["name"] == DEFAULT


def test_a_model_is_unloaded_and_loaded(client: Any, server: httpx.Client) -> None:
    def state() -> str:
        (entry,) = client.get_model_repository_index()
        return str(entry["state"])

    assert state() == "READY"
    client.unload_model(DEFAULT)
    assert (state(), client.is_model_ready(DEFAULT), client.is_server_ready()) == ("UNAVAILABLE", False, True)
    with pytest.raises(InferenceServerException, match="unloaded"):
        infer(client, photos(CAT))
    client.load_model(DEFAULT)
    assert (state(), client.is_model_ready(DEFAULT)) == ("READY", True)
    assert infer(client, photos(CAT)).as_numpy("probabilities").argmax() == RECORD.classes.index("cat")


def test_what_is_not_served_fails_cleanly(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="no such path"):
        client.get_system_shared_memory_status()
    with pytest.raises(InferenceServerException, match="no such path"):
        client.register_system_shared_memory("region", "/region", 64)
    with pytest.raises(InferenceServerException, match="no such path"):
        client.get_trace_settings()
    shared = triton.InferInput("image", [1], "BYTES")
    shared.set_shared_memory("region", 64)
    with pytest.raises(InferenceServerException, match="shared memory is not served"):
        infer(client, shared)
    with pytest.raises(InferenceServerException, match="content encodings"):
        infer(client, photos(CAT), request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match="1 alone, not '2'"):
        infer(client, photos(CAT), model_version="2")
    with pytest.raises(InferenceServerException, match="whole number in 1"):
        infer(client, photos(CAT), parameters={"haste_l": 99})
    with pytest.raises(InferenceServerException, match="not an image"):
        infer(client, photos(b"no image"))
    with pytest.raises(InferenceServerException, match="is not taken"):
        client.load_model(DEFAULT, config="{}")


def test_many_clients_at_once_are_each_answered_with_their_own_level(server: httpx.Client) -> None:
    def ask(number: int) -> tuple[str, Any]:
        address = f"{server.base_url.host}:{server.base_url.port}"
        with triton.InferenceServerClient(address, network_timeout=60) as own:
            level = 1 + number
            result = infer(own, photos((CAT, DOG)[number % 2]), request_id=str(number), parameters={"haste_l": level})
            return result.get_response()["id"], result.get_response()["parameters"]["haste_l"]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(ask, range(CLIENTS)))
    assert answers == [(str(number), 1 + number) for number in range(CLIENTS)]
