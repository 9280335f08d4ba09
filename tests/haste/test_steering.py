"""Laws of steering and recording."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from haste.config import Level
from haste.convert import convert_
from haste.counts import LayerCounts
from haste.steering import Record, levels_of, num_hyperplanes, recording


def test_without_steering_every_image_has_the_default() -> None:
    assert levels_of(2, 14) == (14, 14)


def test_one_level_holds_for_all_images_and_a_vector_for_each() -> None:
    with num_hyperplanes("exact"):
        assert levels_of(2, 14) == ("exact", "exact")
        with num_hyperplanes([8, "dense"]):
            assert levels_of(2, 14) == (8, "dense")
        assert levels_of(2, 14) == ("exact", "exact")
    assert levels_of(2, 14) == (14, 14)


def test_levels_must_match_the_batch() -> None:
    with num_hyperplanes([8, 9, 10]), pytest.raises(ValueError, match="3 levels for a batch of 2"):
        levels_of(2, 14)


@pytest.mark.parametrize(
    ("level", "named"),
    [
        (0, 0), (33, 33), (True, True), ("loose", "loose"), (2.5, 2.5), (None, None), ([8, 99], 99), ([8, True], True),
        (np.int64(8), np.int64(8)), ([np.int64(8)], np.int64(8)), (np.array([8, 9]), np.array([8, 9])),
        (torch.tensor(8), torch.tensor(8)),
    ],
)  # fmt: skip
def test_a_level_that_is_none_is_named(level: Level, named: object) -> None:
    with pytest.raises(ValueError, match=re.escape(f"L must be 1..32, 'exact' or 'dense', not {named!r}")):
        num_hyperplanes(level).__enter__()
    assert levels_of(1, 14) == (14,)


def test_threads_see_their_own_level() -> None:
    def ask(level: int) -> tuple[Level, ...]:
        with num_hyperplanes(level):
            return levels_of(1, 14)

    with num_hyperplanes(3), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(1, 33))) == [(level,) for level in range(1, 33)]


def test_tasks_see_their_own_record_and_level() -> None:
    model = nn.Sequential(nn.Conv2d(16, 4, 3, padding=1), nn.ReLU())
    convert_(model)
    x = torch.randn(1, 16, 6, 6, generator=torch.Generator().manual_seed(0))

    async def ask(level: Level) -> int:
        with num_hyperplanes(level), recording() as record:
            await asyncio.sleep(0)
            model(x)
            await asyncio.sleep(0)
        return int(record.layers["0"].executed.sum())

    async def both() -> list[int]:
        return list(await asyncio.gather(ask("dense"), ask(1), ask("dense")))

    dense, merged, again = asyncio.run(both())
    assert dense == again != merged


def test_a_layer_that_runs_twice_adds_up_and_two_batches_are_refused() -> None:
    record = Record()
    record.add("conv", LayerCounts.of_dense(2, 10))
    record.add("conv", LayerCounts.of_dense(2, 10))
    assert record.layers["conv"].dense.tolist() == [20, 20]
    with pytest.raises(ValueError, match="conv saw 2 images, then 3"):
        record.add("conv", LayerCounts.of_dense(3, 10))


def test_rows_are_recorded_as_the_counts_whose_fields_they_are() -> None:
    table = np.arange(2 * 8 * 3).reshape(2, 8, 3)
    by_table, by_counts = Record(), Record()
    by_table.add_table("ab", table)
    for name, rows in zip("ab", table, strict=True):
        by_counts.add(name, LayerCounts(*torch.from_numpy(rows)))
    for record in (by_table, by_counts):
        names, found = record.table()
        assert names == list(record.layers) == ["a", "b"]
        assert (found == table).all()
    by_table.add_table("b", table[:1])
    assert by_table.layers["b"].dense.tolist() == (table[1, 0] + table[0, 0]).tolist()
    assert (by_table.table()[1][1] == table[1] + table[0]).all()
