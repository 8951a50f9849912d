"""What all fuzz targets share: inputs, the two engines, findings, and the corpus that is kept.

A target is a module with a docstring whose first sentence is the invariant, ``check(data)``, which
raises anything at all when that does not hold, and ``SEEDS``. It may have ``WORDS`` that its grammar
likes, ``mutate(data, rng)`` that knows its form, and ``LONGEST``, the most bytes that make sense.

Where atheris is installed (Linux on x86-64) the search is guided by coverage: an input that reaches
new branches of portway is kept and changed further. Elsewhere the same inputs are only changed at
random, which is said. ``fuzz/corpus/<target>`` is read and never written by a search: what it finds
goes to ``.cache/fuzz``, and ``keep`` brings back what covers more.
"""

import hashlib
import importlib
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from _typeshed import TraceFunction

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
SCRATCH: Final = Path(os.environ.get("FUZZ_SCRATCH") or HERE.parent / ".cache" / "fuzz")

FINDING: Final = 77
"""Exit status when an input breaks the invariant, as libFuzzer has it."""
SLOWEST: Final = 20
"""Seconds for one input; more is a finding."""
MEMORY: Final = 1024
"""MiB for one target; more is a finding."""
KEPT: Final = 300
"""Most files of one target's corpus."""

Mutate = Callable[[bytes, random.Random], bytes]


class Engine(Protocol):
    """The part of atheris that is used."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Count the branches of what is imported inside."""
        ...

    def Setup(  # noqa: N802 - its name
        self,
        argv: list[str],
        test_one_input: Callable[[bytes], None],
        custom_mutator: Callable[[bytes, int, int], bytes],
    ) -> list[str]:
        """Take libFuzzer's flags and what is to be called."""
        ...

    def Mutate(self, data: bytes, max_size: int) -> bytes:  # noqa: N802 - its name
        """Change an input in libFuzzer's own ways."""
        ...

    def Fuzz(self) -> None:  # noqa: N802 - its name
        """Search, and end the process."""
        ...


@dataclass(frozen=True)
class Target:
    """One parser under attack."""

    name: str
    invariant: str
    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    mutate: Mutate | None
    longest: int

    @property
    def corpus(self) -> Path:
        """The inputs that are kept."""
        return CORPUS / self.name

    @property
    def scratch(self) -> Path:
        """The inputs that searches have found on this machine."""
        return SCRATCH / self.name

    def inputs(self) -> list[bytes]:
        """Seeds and corpus."""
        return [*self.seeds, *files(self.corpus)]


def names() -> list[str]:
    """Return the targets."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def engine() -> Engine | None:
    """Return atheris, or None where there is none."""
    try:
        return cast("Engine", importlib.import_module("atheris"))
    except ImportError:
        return None


def load(name: str, guide: Engine | None = None) -> Target:
    """Import a target of ours, or one named by its module; with ``guide`` its branches are counted."""
    path = name if "." in name else f"fuzz.fuzz_{name}"
    if guide is None:
        module = importlib.import_module(path)
    else:
        with guide.instrument_imports(include=["portway", path]):
            module = importlib.import_module(path)
    return Target(
        name=name,
        invariant=(module.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        check=module.check,
        seeds=module.SEEDS,
        words=getattr(module, "WORDS", ()),
        mutate=getattr(module, "mutate", None),
        longest=getattr(module, "LONGEST", 4096),
    )


def files(folder: Path) -> list[bytes]:
    """Return the contents of a folder, in a steady order."""
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def store(folder: Path, data: bytes) -> Path:
    """Write an input under its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    return path


# -- one input


def judge(target: Target, data: bytes) -> None:
    """Check one input. A finding is written down, told and ends the process."""
    try:
        target.check(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        path = store(SCRATCH / "findings" / target.name, data)
        traceback.print_exc()
        print(
            f"\nFINDING: {target.name} breaks its invariant: {target.invariant}\n"
            f"{data[:200]!r}{' …' if len(data) > 200 else ''}\n"
            f"again: python -m fuzz {target.name} --reproduce {path}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(FINDING)  # libFuzzer would go on to tell it in its own words


# -- the two engines


def search(target: Target, guide: Engine | None, seconds: float, seed: int) -> None:
    """Search for ``seconds``, and end the process: with 0, or with FINDING."""
    print(f"{target.name}: {target.invariant}", flush=True)
    if guide is not None:
        _guided(target, guide, seconds, seed)
    else:
        print(f"{target.name}: no atheris here: inputs are changed at random, unguided", flush=True)
        _unguided(target, seconds, seed)


def _guided(target: Target, guide: Engine, seconds: float, seed: int) -> None:
    target.scratch.mkdir(parents=True, exist_ok=True)
    for each in target.seeds:
        store(target.scratch, each)

    def mutator(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5:
            return guide.Mutate(data, max_size)
        return changed(target, data, rng, [])[:max_size]

    flags = [
        f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-max_len={target.longest}",
        f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}", "-print_final_stats=1", "-reload=0",
        f"-artifact_prefix={SCRATCH}/{target.name}-",
    ]  # fmt: skip
    folders = [
        str(each) for each in (target.scratch, target.corpus) if each.is_dir()
    ]  # finds go to the first
    guide.Setup(["fuzz", *flags, *folders], lambda data: judge(target, data), custom_mutator=mutator)
    guide.Fuzz()


def _unguided(target: Target, seconds: float, seed: int) -> None:
    rng = random.Random(seed)
    inputs = target.inputs()
    for each in inputs:
        judge(target, each)
    runs = len(inputs)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        judge(target, changed(target, rng.choice(inputs), rng, inputs)[: target.longest])
        runs += 1
    print(f"{target.name}: seed {seed}, {runs} inputs, no finding", flush=True)


def changed(target: Target, data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change an input: as its form suggests, or a few bytes here and there."""
    if target.mutate is not None and rng.random() < 0.7:
        return target.mutate(data, rng)
    made = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at = rng.randint(0, len(made))
        match rng.randint(0, 4):
            case 0:
                made[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])])
            case 1:
                del made[at : at + rng.randint(1, 8)]
            case 2:
                made[at:at] = rng.choice(target.words) if target.words else rng.randbytes(rng.randint(1, 4))
            case 3:
                made[at:at] = made[at : at + rng.randint(1, 64)]
            case _:
                other = rng.choice(others) if others else bytes(made)
                made[at : at + rng.randint(0, 4)] = other[rng.randint(0, len(other)) :][: rng.randint(0, 64)]
    return bytes(made)


# -- the corpus


def keep(target: Target) -> tuple[int, int]:
    """Choose the smallest inputs that add to the seeds all that any of them reaches; keep only those.

    Returns how many are kept and their bytes. Deterministic for the same inputs.
    """
    found = {data for data in files(target.corpus) + files(target.scratch) if len(data) <= target.longest}
    reached: set[object] = set()
    kept: list[bytes] = []
    for data in [*target.seeds, *target.seeds]:  # they are always there; and caches are nobody's merit
        reached |= features(target.check, data)
    for data in sorted(found, key=lambda each: (len(each), each)):
        fresh = features(target.check, data) - reached
        if fresh and len(kept) < KEPT:
            reached |= fresh
            kept.append(data)
    for path in target.corpus.glob("*"):
        path.unlink()
    for data in kept:
        store(target.corpus, data)
    return len(kept), sum(map(len, kept))


def features(check: Callable[[bytes], None], data: bytes) -> set[object]:
    """Return which steps from line to line of portway an input causes, and roughly how often."""
    steps: Counter[tuple[str, int, int]] = Counter()

    def trace(frame: FrameType, _event: str, _arg: object, /) -> "TraceFunction | None":
        file = frame.f_code.co_filename
        if "/portway/" not in file:
            return None
        last = 0

        def line(inner: FrameType, _event: str, _arg: object, /) -> "TraceFunction":
            nonlocal last
            steps[file, last, inner.f_lineno] += 1
            last = inner.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        check(data)
    finally:
        sys.settrace(before)
    return {(step, count.bit_length()) for step, count in steps.items()}


def replay(target: Target, inputs: Iterable[bytes]) -> int:
    """Check inputs; return how many. Raises what ``check`` raises."""
    count = 0
    for count, data in enumerate(inputs, 1):  # noqa: B007 - the number of the last one is the result
        target.check(data)
    return count
