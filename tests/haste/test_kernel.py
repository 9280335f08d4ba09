"""Laws of the choice of implementation and threads."""

from pathlib import Path

import pytest
import torch

from haste import kernel


def test_the_fastest_is_used_and_the_reference_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HASTE_IMPLEMENTATION", raising=False)
    assert kernel.implementation() == kernel.implementations()[0]
    assert kernel.implementations()[-1] == kernel.REFERENCE


def test_an_implementation_that_does_not_run_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_IMPLEMENTATION", "abacus")
    with pytest.raises(ValueError, match="'abacus'"):
        kernel.implementation()


@pytest.mark.parametrize("text", ["0", "-1", "two", "257", "1.5", ""])
def test_a_bad_number_of_threads_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HASTE_THREADS", text)
    with pytest.raises(ValueError, match=f"'{text}'"):
        kernel.threads()


@pytest.mark.parametrize(
    ("text", "threads"),
    [("100000 100000", 1), ("50000 100000", 1), ("101000 100000", 2), ("max 100000", None), ("100000 0", None)],
)
def test_threads_come_from_the_quota_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, threads: int | None
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4))
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert kernel._quota(file) == (threads or kernel._quota(tmp_path / "absent"))


@pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without the native module")
@pytest.mark.parametrize(("kind", "positions"), [(0, 24), (0, 26), (3, 25)])
def test_planes_that_do_not_fit_the_windows_are_refused(kind: int, positions: int) -> None:
    planes = (kind, torch.zeros(32, positions), torch.zeros(33, dtype=torch.int64))
    method = kernel.method(
        patch_outputs=3, skip=True, merge=1, centre=False, drop_zero=True, tolerance=None,
        threshold=0.0, norms=torch.ones(16), planes=[planes],
    )  # fmt: skip
    layers = [
        kernel.operation(kind=0, input=0, output=1, kernel=3, weight=torch.zeros(8, 16, 3, 3), method=method),
        kernel.operation(kind=2, input=1, output=2, kernel=3),
        kernel.operation(kind=3, input=2, output=3, weight=torch.zeros(2, 8)),
    ]
    buffers = [(5, 5, 16, 0), (3, 3, 8, 0), (1, 1, 8, 0), (1, 1, 2, 0)]
    with pytest.raises(ValueError, match="planes do not fit"):
        kernel.Program(kernel.implementations()[0], buffers, layers, 1)


@pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without the native module")
def test_weights_that_do_not_fit_their_buffers_are_refused() -> None:
    layer = kernel.operation(kind=3, input=0, output=1, weight=torch.zeros(2, 7))
    with pytest.raises(ValueError, match="weights do not fit"):
        kernel.Program(kernel.implementations()[0], [(1, 1, 8, 0), (1, 1, 2, 0)], [layer], 1)
