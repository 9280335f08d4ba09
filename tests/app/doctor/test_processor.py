"""The processor, the implementation and the CPUs, in each state."""

import platform
from pathlib import Path

import pytest

from app.doctor.method import Implementations
from app.doctor.processor import Processor, check_cpus, check_implementation, check_processor, read_features
from haste import kernel

X86 = Processor("Xeon", "x86_64", frozenset({"avx2", "fma", "sse2"}))
WIDE = Processor("Xeon", "x86_64", X86.features | {"avx512f", "avx512bw", "avx512dq", "avx512vl"})
PHI = Processor("Xeon Phi", "x86_64", X86.features | {"avx512f"})
OLD = Processor("Atom", "x86_64", frozenset({"sse2"}))
ARM = Processor("Cortex-A76", "aarch64", frozenset({"asimd"}))
ALL = ("avx2", "portable", "reference")
EVERY = ("avx512", *ALL)


def test_features_are_read_on_x86_and_arm() -> None:
    assert read_features("processor\t: 0\nflags\t\t: fpu avx2 fma\nbugs\t: avx512f\n") == {"fpu", "avx2", "fma"}
    assert read_features("processor\t: 0\nFeatures\t: fp asimd\n") == {"fp", "asimd"}
    assert read_features("") == frozenset()


@pytest.mark.skipif(len(kernel.implementations()) < 2, reason="built without the native module")
def test_the_doctor_and_the_engine_agree_on_the_fastest() -> None:
    features = read_features(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    assert kernel.implementations()[0] == Processor("this one", platform.machine(), features).best


@pytest.mark.parametrize(("processor", "state"), [(WIDE, "ok"), (X86, "ok"), (ARM, "ok"), (OLD, "note")])
def test_a_processor_without_its_vectors_is_noted(processor: Processor, state: str) -> None:
    check = check_processor(processor)
    assert check.state == state
    assert processor.name in check.found


@pytest.mark.parametrize(
    ("processor", "found", "state", "said"),
    [
        (X86, Implementations(ALL, "avx2"), "ok", "avx2 (built: avx2, portable, reference)"),
        (WIDE, Implementations(EVERY, "avx512"), "ok", "avx512 (built: avx512, avx2, portable, reference)"),
        (WIDE, Implementations(EVERY, "avx2"), "note", "avx512 is faster"),
        (WIDE, Implementations(ALL, "avx2"), "problem", "avx512 would run here but is not built"),
        (PHI, Implementations(ALL, "avx2"), "ok", "avx2"),
        (ARM, Implementations(ALL[1:], "portable"), "ok", "portable"),
        (X86, Implementations(ALL, "portable"), "note", "avx2 is faster"),
        (X86, Implementations(ALL[1:], "portable"), "problem", "avx2 would run here but is not built"),
        (X86, Implementations(ALL[2:], "reference"), "problem", "the native kernel is missing"),
        (X86, Implementations(ALL, None, "must be one of"), "problem", "must be one of"),
    ],
)
def test_the_fastest_implementation_should_be_built_and_used(
    processor: Processor, found: Implementations, state: str, said: str
) -> None:
    check = check_implementation(processor, found)
    assert check.state == state
    assert said in check.found
    assert bool(check.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("threads", "decode_threads", "processors", "quota", "state", "said"),
    [
        (2, 2, 2, None, "ok", ""),
        (1, 1, 4, None, "ok", ""),
        (2, 2, 4, 2.0, "ok", ""),
        (4, 4, 4, 2.0, "problem", "HASTE_THREADS=2,"),
        (3, 2, 2, None, "problem", "HASTE_THREADS=2,"),
        (2, 2, 4, 1.5, "note", "HASTE_THREADS=1:"),
        (1, 1, 4, 0.5, "note", "HASTE_THREADS=1:"),
        (2, 9, 2, None, "note", "HASTE_DECODE_THREADS=2:"),
    ],
)
def test_no_more_threads_than_cpus(
    threads: int, decode_threads: int, processors: int, quota: float | None, state: str, said: str
) -> None:
    check = check_cpus(threads, decode_threads, processors, quota)
    assert check.state == state
    assert said in check.remedy
