"""Which number format, memory order and compiled blocks pay for a learned model on this machine?

They move images a little, so none is chosen unasked: they are timed here, and the user says so.
"""

from __future__ import annotations

import shlex
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.pipeline import CycloramaPipeline

STEPS = 2
"""Denoising steps of a timed call."""
WORTH = 0.95
"""Options are advised if even in their slowest turn they took at most this share of the time without them."""
_DTYPE, _ORDER, _COMPILE = ("--dtype", "bfloat16"), ("--channels-last",), ("--compile",)
Call = Callable[[], Tensor]
Load = Callable[[str | None], CycloramaPipeline]


@dataclass(frozen=True)
class Timing:
    """What a set of options costs."""

    options: tuple[str, ...]
    """As ``cyclorama generate`` takes them."""
    seconds: float = 0.0
    """A denoising step of one image with a reference, without guidance: the median."""
    ratios: tuple[float, ...] = ()
    """To the time without options, in turns one after the other."""
    moved: float = 0.0
    """Largest change of the image, in levels of 255."""
    first: float = 0.0
    """Seconds until the first image: loading, compiling, a call."""
    fault: str = ""
    """Why it cannot be had here."""


def time_options(load: Load, on_cpu: bool, seconds: float) -> list[Timing]:
    """Each set of options of the model that ``load`` gives, by turns with the defaults, ``seconds`` each.

    ``load``: a pipeline in a number format, or None for the device's own. Raises what it does for None.
    """
    plain = _build_call(load, ())
    plain()  # the first call fills caches
    rows: list[Timing] = []
    sets = [_ORDER, _DTYPE, _DTYPE + _ORDER] if on_cpu else [_ORDER]  # elsewhere it is half already
    for options in (*sets, _COMPILE):
        fastest = choose_fastest(rows)
        if options == _COMPILE and fastest is not None:
            options = fastest.options + options
        try:
            rows.append(_time_one(options, partial(_build_call, load, options), plain, seconds))
        except Exception as error:  # compilers and memory fail in ways of their own
            rows.append(Timing(options, fault=[*str(error).strip().splitlines(), type(error).__name__][0]))
    return rows


def _time_one(options: tuple[str, ...], build: Callable[[], Call], plain: Call, seconds: float) -> Timing:
    """One set of options; its model is let go at the end."""
    started = time.perf_counter()
    other = build()
    moved = float((other() - plain()).abs().max()) * 127.5
    first = time.perf_counter() - started
    taken, ratios = time_by_turns(plain, other, seconds)
    return Timing(options, taken / STEPS, ratios, moved, first)


def time_by_turns(plain: Call, other: Call, seconds: float) -> tuple[float, tuple[float, ...]]:
    """Median seconds of ``other``, and its share of the time of ``plain`` in each turn, there and back; at
    least one turn, then as many as fit into ``seconds``."""
    taken: list[tuple[float, float]] = []
    started = time.perf_counter()
    while not taken or time.perf_counter() - started + sum(taken[-1]) < seconds:
        pair = {}
        for call in (plain, other) if len(taken) % 2 == 0 else (other, plain):
            begun = time.perf_counter()
            call()
            pair[call] = time.perf_counter() - begun
        taken.append((pair[plain], pair[other]))
    return statistics.median(own for _, own in taken), tuple(own / base for base, own in taken)


def choose_fastest(rows: list[Timing]) -> Timing | None:
    """The fastest of those that are worth it; None if none is."""
    worth = [row for row in rows if row.ratios and max(row.ratios) <= WORTH]
    return min(worth, key=lambda row: statistics.median(row.ratios), default=None)


def format_timings(rows: list[Timing], model: str, device: str = "auto") -> str:
    """A table of ``rows``, and the command that ``model`` is fastest with on ``device``."""
    lines = [
        f"{'options':<42}{'s/step':>8}{'ratio':>8}{'(from, to)':>16}{'moved, of 255':>15}{'first, s':>10}"
    ]
    for row in rows:
        name = " ".join(row.options)
        if row.fault:
            lines.append(f"{name:<42} not here: {row.fault}")
            continue
        span = f"({min(row.ratios):.2f}, {max(row.ratios):.2f})"
        middle = statistics.median(row.ratios)
        lines.append(
            f"{name:<42}{row.seconds:>8.3f}{middle:>8.2f}{span:>16}{row.moved:>15.1f}{row.first:>10.1f}"
        )
    fastest = choose_fastest(rows)
    options: tuple[str, ...] = () if device == "auto" else ("--device", device)
    options += () if fastest is None else fastest.options
    what = "nothing is worth it here" if fastest is None else "fastest here"
    return "\n".join(
        [*lines, f"{what}: cyclorama generate INPUT --out OUT {shlex.join(('--model', model, *options))}"]
    )


def _build_call(load: Load, options: tuple[str, ...]) -> Call:
    """A call of the model with ``options``: one image of its own size with a reference, (1, 3, H, W)."""
    pipeline = load(_DTYPE[1] if _DTYPE[0] in options else None)
    pipeline.tune(channels_last=_ORDER[0] in options, compile=_COMPILE[0] in options)
    side = pipeline.image_size
    shown = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : -side // 4, side // 3 : -side // 3] = 1
    category = pipeline.registry.names[0]
    settings = SamplingConfig(num_inference_steps=STEPS, guidance_scale=1)

    def call() -> Tensor:
        generators = [torch.Generator().manual_seed(0)]
        made: Tensor = pipeline(shown, mask, [category], generators, shown, settings=settings)
        return made.float().cpu()

    return call
