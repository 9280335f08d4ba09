"""Laws of the choice of implementation and threads."""

from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("text", "threads"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_threads_come_from_the_quota(tmp_path: Path, text: str, threads: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert kernel._quota(file) == (threads or kernel._quota(tmp_path / "absent"))
