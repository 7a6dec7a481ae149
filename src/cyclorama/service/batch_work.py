"""The child process of a batch: the check, or the run, of the engine that `cyclorama generate` has."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyclorama.errors import CycloramaError
from cyclorama.files import is_full, write_atomic
from cyclorama.service.settings import ServiceSettings, open_models

TOLD = "told.json"
EXAMINED = 64
"""Rows of a check whose files are opened and cut out, evenly spread."""
_NICE = 10  # a batch leaves the processor to those who wait for an image


def work(settings: ServiceSettings, folder: Path, order: Mapping[str, Any], what: str, parent: int) -> None:
    """Do ``what`` (``check`` or ``run``) with the batch in ``folder`` and write TOLD.

    ``order``: its request as plain values, with ``table`` and ``retry``. Ends with the process ``parent``;
    SIGTERM ends a run after the images in hand.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    try:
        told = {"check": _check, "run": _run}[what](settings, folder, order)
    except CycloramaError as error:
        reason = str(error).replace(f"{(folder / 'input').absolute()}/", "")
        reason = reason.replace(f"{folder.absolute()}/", "")
        told = {"error": {"error": type(error).__name__, "reason": reason}}
        if is_full(error):
            told = {"stopped": True}  # it goes on once there is room
    write_atomic(folder / TOLD, json.dumps(told).encode())


def _end_with(parent: int) -> None:
    """End at once when the server does; the next start goes on."""
    while os.getppid() == parent:
        threading.Event().wait(1)
    os._exit(1)


def _prepare(settings: ServiceSettings, folder: Path, order: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The source, the model and the configuration of the run. Raises CycloramaError."""
    from cyclorama.generation.gate_settings import GateThresholds
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.settings import GenerateConfig, InputSettings, RunConfig, RunSettings
    from cyclorama.jobs.job import EngineSettings

    folder = folder.absolute()
    common = {path.parent.name: path for path in (folder / "common").glob("*/*")}
    inputs = InputSettings(
        column=order["columns"],
        encoding=order["encoding"],
        category=order["category"],
        alias=tuple(f"{given}={used}" for given, used in order["aliases"].items()),
        strict_category=order["strict_category"],
        mask_means=order["mask_means"],
        allow_urls=settings.allow_urls,
        inside=True,
        **common,
    )
    place = folder / "input" / order["table"] if order["table"] else folder / "input"
    source = ItemSource(place, inputs, folder / "out")
    judged = order["gate"] or order["attempts"] or order["keep"] == "best"
    config = RunConfig(
        GenerateConfig(**order["settings"]),
        RunSettings(
            seed=order["seed"],
            attempts=order["attempts"],
            keep=order["keep"],
            dtype=settings.dtype,
            retry="failed" if order["retry"] else None,
        ),
        EngineSettings(threads=settings.threads, device=settings.device),
        inputs.build_rules(),
        GateThresholds() if judged else None,
        urls=source.urls,
    )
    models = open_models(settings)
    handle = models[order["model"]] if order["model"] in models else next(iter(models.values()))
    if "style" in common:
        handle.read_style(common["style"])
    if "backdrop" in common:
        handle.read_backdrop(common["backdrop"])
    return source, handle, config


def _check(settings: ServiceSettings, folder: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    from cyclorama.generation.check import check_inputs
    from cyclorama.generation.estimate import estimate_run

    source, handle, config = _prepare(settings, folder, order)
    handle.choose_device()
    report = check_inputs(source, handle, config, EXAMINED)
    estimate = estimate_run(source, folder / "out", handle, config)
    unknown = [entry | {"used": None, "source": None} for entry in report["unknown_categories"]]
    found = [entry | {"nearest": []} for entry in report["categories"]]
    return {
        "check": {
            **{name: report[name] for name in ("rows", "problems", "examined", "not_fetched")},
            "notes": [note.replace(f"{folder.absolute()}/input/", "") for note in report["notes"]],
            "faults": [{"error": name, **fault} for name, fault in report["faults"].items()],
            "categories": unknown + found,
            "duplicates": sum(len(group["rows"]) for group in report["duplicates"]),
            **{name: getattr(estimate, name) for name in ("images", "seconds", "bytes", "free_bytes")},
        }
    }


def _run(settings: ServiceSettings, folder: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    from cyclorama.generation.results import read_status
    from cyclorama.generation.run import run_images
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import catch_stop

    source, handle, config = _prepare(settings, folder, order)
    with catch_stop(quiet=True) as stop:
        result = run_images(source, folder / "out", handle, config, Hooks(stopping=stop))
    if not result.finished:
        return {"stopped": True}
    return {"result": summarise(read_status(folder / "out"))}


def summarise(status: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's status is told, while it runs and afterwards."""
    counts = {name: status[name] for name in ("rows", "images", "bytes", "done", "failed")}
    return {"counts": counts, "failures": status["failures"]}
