"""How long does a rendered set take, and is a shared plate as good as rendering each image?

    python benchmarks/scenes_speed.py speed --out out/scenes-speed
    python benchmarks/scenes_speed.py catalogue --products 1000 --out out/catalogue

``speed`` measures each row of its table in a process of its own: an image in a style of its own, the first
image of a given style (its plate is rendered), a further product of that style and, where that is not too
slow, a full render of the same set; seconds, peak memory, and over the background the mean difference in
levels and the share of pixels within 8. ``catalogue`` makes a campaign of drawn bottles in one brand's style
with one worker, with two, and with one that is killed and resumed: images a second, share of the time outside
the model, memory, and whether all three wrote the same bytes.

A row is printed, and kept in ``rows.jsonl`` of the output folder, as soon as it is known; known ones are not
measured again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = [(256, "fast"), (512, "fast"), (512, "quality"), (1024, "quality")]
"""Side of the square canvas and preset."""
WITHIN = 8
"""Levels."""
FLOOR_SIDE = 512
"""Up to this side a full render is made with one thread, too, and a second one with two."""
Row = dict[str, Any]


def draw_bottle(side: int, number: int) -> NDArray[np.uint8]:
    """Bottle ``number``, RGBA (side, side, 4): every tenth is of another shape, all differ in colour."""
    rng = np.random.default_rng(number)
    tall, wide = (0.5 + 0.02 * (number // 10 % 5)) * side, (0.1 + 0.01 * (number // 10 % 5)) * side
    y, x = np.mgrid[:side, :side] + 0.5
    u, v = (x - side / 2) / wide, (y - (0.88 * side - tall)) / tall
    inside = (np.abs(u) <= np.where(v < 0.25, 0.4, 1.0)) & (v >= 0) & (v < 1)
    label = inside & (v > 0.5) & (v < 0.8)
    shade = (0.55 + 0.45 * np.sqrt(np.clip(1 - u**2, 0, 1)))[..., None]
    colour = rng.uniform(30, 220, 3) * shade
    colour[label] = np.array([240, 235, 220]) * shade[label]
    return np.dstack([np.clip(colour, 0, 255), 255 * inside]).astype(np.uint8)


def measure_speed(category: str, side: int, preset: str, threads: int) -> Row:
    """One row of figures."""
    from cyclorama.generation.scenes import PRESETS, SceneModel, fit_cutout
    from cyclorama.imaging.product import Product
    from cyclorama.scenes.brand import Brand
    from cyclorama.scenes.grammar.reader import load_category
    from cyclorama.scenes.plate import change_plate, choose_set, render_whole
    from cyclorama.scenes.render import tone_map

    def get(side: int, number: int) -> Product:
        rgba = draw_bottle(side, number)
        pixels = np.ascontiguousarray(rgba[..., :3])
        return Product(pixels, (rgba[..., 3] / 255).astype(np.float32), pixels, "bottle")

    model, kind = SceneModel(threads), load_category(category)
    model.draw(get(64, 0), category, 1, "fast")  # loads what all images need
    brand, samples = Brand.of(kind.brands[0], arrangement=1), PRESETS[preset][1]
    row: Row = {"side": side, "preset": preset, "threads": threads}
    for name, number, style in (("own", 0, None), ("first", 0, brand), ("further", 1, brand)):
        start = time.perf_counter()
        model.draw(get(side, number), category, 1, preset, style)
        row[name] = time.perf_counter() - start
    if threads > 1 or side <= FLOOR_SIDE:
        cutout = fit_cutout(get(side, 1), PRESETS[preset][0])
        shown = choose_set(cutout, kind, kind, 1, brand.style)
        plate, seen = model.plates.get(shown, samples), cutout.matte <= 0
        start = time.perf_counter()
        full = render_whole(plate, cutout, shown, samples)
        row["whole"] = time.perf_counter() - start
        levels = tone_map(full, plate.stage.exposure).astype(int)[seen]

        def compare(light: NDArray[np.float32]) -> tuple[float, float]:
            off = np.abs(tone_map(light, plate.stage.exposure)[seen] - levels)
            return float(off.mean()), float((off.max(1) <= WITHIN).mean())

        row["mean"], row["within"] = compare(change_plate(plate, cutout, shown)[0])
        if threads > 1 and side <= FLOOR_SIDE:
            row["noise"] = compare(render_whole(plate, cutout, shown, samples, seed=99))[1]
    return row | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure_cold(category: str) -> float:
    """Seconds from the command line to a written image of 512 x 512."""
    with TemporaryDirectory() as folder:
        Image.fromarray(draw_bottle(512, 0)).save(f"{folder}/bottle.png")
        start = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "cyclorama",
            "generate",
            f"{folder}/bottle.png",
            "--category",
            category,
        ]
        subprocess.run([*command, "--out", f"{folder}/out", "--placement", "keep", "--quiet"], check=True)
        return time.perf_counter() - start


def keep_rows(path: Path, tasks: Mapping[str, Callable[[], Row]]) -> Iterator[Row]:
    """The row of every task, in order: what ``path`` knows, the rest measured now and kept there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    known = {row["task"]: row for row in map(json.loads, lines)}
    for name, measure in tasks.items():
        if name not in known:
            known[name] = {"task": name} | measure()
            with path.open("a") as file:
                file.write(json.dumps(known[name]) + "\n")
        yield known[name]


def print_speed(category: str, out: Path) -> None:
    """The table of both numbers of threads."""

    def measure(side: int, preset: str, threads: int) -> Row:
        command = [sys.executable, __file__, "row", "--category", category, "--side", str(side)]
        command += ["--preset", preset, "--threads", str(threads)]
        found: Row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return found

    tasks = {
        f"{category} {side} {preset} {threads}": partial(measure, side, preset, threads)
        for side, preset in ROWS
        for threads in (2, 1)
    }
    print(
        f"| {category} | preset | threads | own style | style's first | each further | full render "
        "| mean off, levels | within 8 levels | two full renders | peak MB |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    units = {"own": "{:.2f} s", "first": "{:.2f} s", "further": "{:.2f} s", "whole": "{:.2f} s"}
    units |= {"mean": "{:.2f}", "within": "{:.2%}", "noise": "{:.2%}", "megabytes": "{:.0f}"}
    for row in keep_rows(out / "rows.jsonl", tasks):
        cells = [unit.format(row[name]) if name in row else "" for name, unit in units.items()]
        print(
            "|", " | ".join([f"{row['side']}²", row["preset"], str(row["threads"]), *cells]), "|", flush=True
        )
    (cold,) = keep_rows(out / "rows.jsonl", {f"{category} cold": lambda: {"cold": measure_cold(category)}})
    print(f"\nA fresh process's first image at 512², written: {cold['cold']:.2f} s.")


def write_products(folder: Path, count: int, side: int) -> Path:
    """``count`` bottles and the table that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "products.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "category"])
        for number in range(count):
            Image.fromarray(draw_bottle(side, number)).save(folder / f"{number:05d}.png")
            writer.writerow([f"{number:05d}.png", "perfume"])
    return table


def generate(table: Path, out: Path, workers: int, kill_at: int | None = None) -> Row:
    """One run, or what is left of it: seconds, memory of its largest process in MB, digest of all images."""
    shard = max(2, sum(1 for _ in table.open()) // 8)
    command = [
        sys.executable, "-m", "cyclorama", "generate", str(table), "--out", str(out), "--quiet",
        "--style", str(table.with_name("brand.yaml")),
        "--preset", "fast", "--placement", "keep", "--workers", str(workers), "--threads", "1",
        "--shard-size", str(shard),
    ]  # fmt: skip
    before, start = len(list(out.glob("images/*"))), time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        if kill_at is not None and len(list(out.glob("images/*"))) >= kill_at:
            os.killpg(process.pid, signal.SIGKILL)
            kill_at = None
            process.wait()
            process = subprocess.Popen(command, start_new_session=True)
        time.sleep(0.2)
    seconds, digest = time.perf_counter() - start, hashlib.sha256()
    images = sorted(out.glob("images/*"))
    for path in images:
        digest.update(path.name.encode() + path.read_bytes())
    marks = [json.loads(path.read_text()) for path in out.glob("journal/shards/*.done.json")]
    share = sum(mark["model_seconds"] for mark in marks) / max(1, len(images))
    return {
        "images": len(images),
        "rate": (len(images) - before) / seconds,
        "outside": 1 - share * (len(images) - before) / (workers * seconds),
        "megabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "digest": digest.hexdigest()[:16],
    }


def print_catalogue(count: int, side: int, out: Path) -> None:
    """One campaign three times."""
    from cyclorama.scenes.brand import Brand, write_brand
    from cyclorama.scenes.grammar.reader import load_category

    table = out / "products" / "products.csv"
    if not table.exists():
        write_products(table.parent, count, side)
        write_brand(Brand.of(load_category("perfume").brands[0]), table.with_name("brand.yaml"))
    print("| run | images | images/s | outside the model | peak MB | digest |\n|---|---|---|---|---|---|")
    tasks = {
        name: partial(generate, table, out / name.replace(" ", "-"), workers, kill_at)
        for name, workers, kill_at in (
            ("2 workers", 2, None),
            ("1 worker", 1, None),
            ("1 worker killed", 1, count // 3),
        )
    }
    for row in keep_rows(out / "rows.jsonl", tasks):
        print(
            f"| {row['task']} | {row['images']} | {row['rate']:.2f} | {row['outside']:.0%} "
            f"| {row['megabytes']:.0f} | {row['digest']} |",
            flush=True,
        )


def main() -> None:
    """Read the options, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", choices=["speed", "row", "catalogue"], help="row: one of the speed's, as JSON"
    )
    parser.add_argument("--category", default="whisky")
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256, help="of a product's canvas, pixels")
    parser.add_argument("--preset", default="fast", help="of a row")
    parser.add_argument("--threads", type=int, default=1, help="of a row")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path("out") / options.what
    if options.what == "catalogue":
        print_catalogue(options.products, options.side, out)
    elif options.what == "speed":
        print_speed(options.category, out)
    else:
        print(json.dumps(measure_speed(options.category, options.side, options.preset, options.threads)))


if __name__ == "__main__":
    main()
