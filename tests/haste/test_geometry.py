"""Laws of the patch grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste.geometry import PatchGrid

sizes = st.integers(1, 40)


@given(sizes, sizes, st.sampled_from([1, 3, 5, 7]), st.integers(1, 2), st.integers(1, 9))
def test_patches_tile_the_outputs_exactly(height: int, width: int, kernel: int, stride: int, outputs: int) -> None:
    grid = PatchGrid(height + kernel - 1, width + kernel - 1, kernel, stride, outputs)
    covered = [
        (row, column)
        for rows, columns in grid.groups()
        for row in range(rows.first, rows.first + rows.count * rows.outputs)
        for column in range(columns.first, columns.first + columns.count * columns.outputs)
    ]
    assert sorted(covered) == [(r, c) for r in range(grid.out_height) for c in range(grid.out_width)]


@given(sizes, st.sampled_from([1, 3, 5, 7]), st.integers(1, 2), st.integers(1, 9))
def test_every_window_lies_inside_the_input(side: int, kernel: int, stride: int, outputs: int) -> None:
    grid = PatchGrid(side + kernel - 1, side + kernel - 1, kernel, stride, outputs)
    for rows, _ in grid.groups():
        last = rows.first + (rows.count - 1) * rows.outputs
        assert last * stride + grid.window(rows.outputs) <= grid.height


def test_the_papers_patch_is_three_outputs_from_a_window_of_five() -> None:
    assert PatchGrid(34, 34, 3, 1, 3).window(3) == 5


def test_a_kernel_larger_than_the_input_is_refused_by_size() -> None:
    with pytest.raises(ValueError, match="2x9"):
        PatchGrid(2, 9, 3, 1, 3)
