"""The processor: what it can do, which implementation uses that, how much of it the service may have."""

from dataclasses import dataclass

from app.doctor.check import Check, note, problem
from app.doctor.method import REFERENCE, Implementations
from app.settings import cpus

_X86 = ("x86_64", "AMD64")
_NEEDS = {  # of the implementations for x86, the fastest first: as `haste/csrc/dispatch.cpp` asks
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"},
    "avx2": {"avx2", "fma"},
}
_TOLD = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "asimddp", "sve")
_COMPILE = "install a C++ compiler (Debian: apt-get install g++) and this package again, from its source: pip install ."


@dataclass(frozen=True)
class Processor:
    """Name, architecture as `uname -m` says it, and features by Linux's names."""

    name: str
    arch: str
    features: frozenset[str]

    @property
    def best(self) -> str:
        """The implementation that is the fastest here, built or not."""
        fit = (name for name, needs in _NEEDS.items() if self.arch in _X86 and self.features >= needs)
        return next(fit, "portable")


def read_features(cpuinfo: str) -> frozenset[str]:
    """Out of the text of /proc/cpuinfo, on x86 and ARM."""
    for line in cpuinfo.splitlines():
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(values.split())
    return frozenset()


def check_processor(processor: Processor) -> Check:
    told = " ".join(name for name in _TOLD if name in processor.features) or "none of the vector features we know"
    found = f"{processor.name} ({processor.arch}): {told}"
    if processor.arch in _X86 and processor.best == "portable":
        return note("processor", found, "one with avx2 and fma computes the same several times as fast")
    return Check("processor", found)


def check_implementation(processor: Processor, found: Implementations) -> Check:
    """The fastest that the processor can run should be built, and used."""
    name, built = "implementation", f"built: {', '.join(found.available)}"
    if found.used is None:
        return problem(name, found.error, f"unset HASTE_IMPLEMENTATION; {built}")
    if found.available == (REFERENCE,):
        return problem(name, "the native kernel is missing, so plain torch computes, and slower", _COMPILE)
    if processor.best not in found.available:
        return problem(name, f"{found.used}; {processor.best} would run here but is not built", _COMPILE)
    if found.used != found.available[0]:
        remedy = "unset HASTE_IMPLEMENTATION, unless the slower one is what you want"
        return note(name, f"{found.used}, though {found.available[0]} is faster", remedy)
    return Check(name, f"{found.used} ({built})")


def check_cpus(threads: int, decode_threads: int, processors: int, quota: float | None) -> Check:
    """More threads than CPUs wait for each other; a part of a CPU stops all threads for a part of the time."""
    allowed = cpus(processors, quota)
    limits = f"{processors} CPUs, {'no quota' if quota is None else f'a quota of {quota:g}'}"
    found = f"{limits}; {threads} threads compute, {decode_threads} decode"
    if threads > allowed:
        return problem("CPUs", found, f"HASTE_THREADS={allowed}, or unset it: more threads only wait for each other")
    if quota is not None and threads > quota:
        remedy = f"a whole number of CPUs, or HASTE_THREADS={max(1, int(quota))}: all threads pause when it is used up"
        return note("CPUs", found, remedy)
    if decode_threads > 4 * allowed:
        return note("CPUs", found, f"HASTE_DECODE_THREADS={allowed}: decoders take time and memory from each other")
    return Check("CPUs", found)
