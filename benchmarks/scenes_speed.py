"""How long does a rendered set take, and is a shared plate as good as rendering each image?

    python benchmarks/scenes_speed.py speed --out out/scenes-speed.md
    python benchmarks/scenes_speed.py catalogue --products 1000 --out out/catalogue

``speed`` measures in a process of its own for every number of threads: an image in a style of its own, the
first image of a given style (its plate is rendered), and two further products of that style, each beside a
full render of the same set; seconds, peak memory, and over the background the mean difference in levels and
the share of pixels within 8. ``catalogue`` makes a campaign of drawn bottles in one brand's style with
one worker, with two, and with one that is killed and resumed: images a second, share of the time outside the
model, memory, and whether all three wrote the same bytes.
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
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = [(256, "fast"), (256, "quality"), (512, "quality"), (1024, "quality")]
"""Side of the square canvas and preset."""
WITHIN = 8
"""Levels."""
FLOOR_SIDE = 512
"""Up to this side a second full render is made."""


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


def measure_speed(threads: int, category: str) -> None:
    """One row of figures for each of ROWS, as a line of JSON."""
    begin = time.perf_counter()
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
    model.draw(get(64, 0), category, 1, "fast")
    loaded = time.perf_counter() - begin
    for side, preset in ROWS:
        row: dict[str, object] = {"side": side, "preset": preset, "threads": threads, "loaded": loaded}

        def clock(name: str, number: int, brand: Brand | None, side=side, preset=preset, row=row) -> None:
            start = time.perf_counter()
            model.draw(get(side, number), category, 1, preset, brand)
            row[name] = time.perf_counter() - start

        brand, samples = Brand.of(kind.brands[0], arrangement=1), PRESETS[preset][1]
        clock("own", 0, None)
        clock("first", 0, brand)
        further, whole, means, shares, noise = [], [], [], [], []
        for number in (1, 2):
            clock("again", number, brand)
            further.append(row.pop("again"))
            cutout = fit_cutout(get(side, number), PRESETS[preset][0])
            shown = choose_set(cutout, kind, kind, 1, brand.style)
            plate = model.plates.get(shown, samples)
            start = time.perf_counter()
            full = render_whole(plate, cutout, shown, samples)
            whole.append(time.perf_counter() - start)
            quick, _ = change_plate(plate, cutout, shown)
            seen = cutout.matte <= 0
            levels = tone_map(full, plate.stage.exposure).astype(int)[seen]
            off = np.abs(tone_map(quick, plate.stage.exposure)[seen] - levels)
            means.append(off.mean())
            shares.append((off.max(1) <= WITHIN).mean())
            if number == 2 and side <= FLOOR_SIDE:
                other = render_whole(plate, cutout, shown, samples, seed=99)
                off = np.abs(tone_map(other, plate.stage.exposure)[seen] - levels)
                noise.append((off.max(1) <= WITHIN).mean())
        row |= {"further": float(np.mean(further)), "whole": float(np.mean(whole))}
        row |= {"mean": float(np.mean(means)), "within": float(np.mean(shares))}
        row["noise"] = f"{100 * noise[0]:.2f} %" if noise else ""
        row["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(row), flush=True)


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


def print_speed(category: str, out: Path | None) -> None:
    """The table of both numbers of threads."""
    lines = [
        f"| {category} | preset | threads | own style | style's first | each further | full render "
        "| mean off, levels | within 8 levels | two full renders | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for threads in (1, 2):
        command = [sys.executable, __file__, "speed", "--threads", str(threads), "--category", category]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for row in map(json.loads, answer.splitlines()):
            lines.append(
                f"| {row['side']}² | {row['preset']} | {threads} | {row['own']:.2f} s | {row['first']:.2f} s "
                f"| {row['further']:.2f} s | {row['whole']:.2f} s | {row['mean']:.2f} "
                f"| {100 * row['within']:.2f} % | {row['noise']} | {row['megabytes']:.0f} |"
            )
    lines.append(f"\nA fresh process's first image at 512², written: {measure_cold(category):.2f} s.")
    print("\n".join(lines))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join(lines) + "\n")


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


def generate(table: Path, out: Path, workers: int, kill_at: int | None = None) -> dict[str, float | str]:
    """One run: seconds, memory of its largest process in MB, and the digest of all its images."""
    shard = max(2, sum(1 for _ in table.open()) // 8)
    command = [
        sys.executable, "-m", "cyclorama", "generate", str(table), "--out", str(out), "--quiet",
        "--style", str(table.with_name("brand.yaml")),
        "--preset", "fast", "--placement", "keep", "--workers", str(workers), "--threads", "1",
        "--shard-size", str(shard),
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        if kill_at is not None and len(list(out.glob("images/*"))) >= kill_at:
            os.killpg(process.pid, signal.SIGKILL)
            kill_at = None
            process.wait()
            process = subprocess.Popen(command, start_new_session=True)
        time.sleep(0.2)
    digest = hashlib.sha256()
    for path in sorted(out.glob("images/*")):
        digest.update(path.name.encode() + path.read_bytes())
    marks = [json.loads(path.read_text()) for path in out.glob("journal/shards/*.done.json")]
    return {
        "seconds": time.perf_counter() - start,
        "model": sum(mark["model_seconds"] for mark in marks),
        "images": sum(mark["images"] for mark in marks),
        "megabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "digest": digest.hexdigest()[:16],
    }


def print_catalogue(count: int, side: int, out: Path) -> None:
    """One campaign three times."""
    from cyclorama.scenes.brand import Brand, write_brand
    from cyclorama.scenes.grammar.reader import load_category

    table = write_products(out / "products", count, side)
    write_brand(Brand.of(load_category("perfume").brands[0]), table.with_name("brand.yaml"))
    print("| run | images | images/s | outside the model | peak MB | digest |\n|---|---|---|---|---|---|")
    for name, workers, kill_at in (("1 worker", 1, None), ("2 workers", 2, None), ("killed", 1, count // 3)):
        found = generate(table, out / name.replace(" ", "-"), workers, kill_at)
        outside = 1 - float(found["model"]) / (workers * float(found["seconds"]))
        print(
            f"| {name} | {found['images']} | {int(found['images']) / float(found['seconds']):.2f} "
            f"| {100 * outside:.0f} % | {found['megabytes']:.0f} | {found['digest']} |",
            flush=True,
        )


def main() -> None:
    """Read the options, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "catalogue"])
    parser.add_argument("--category", default="whisky")
    parser.add_argument("--threads", type=int, help="measure this number alone, as lines of JSON")
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "catalogue":
        print_catalogue(options.products, options.side, options.out or Path("out/catalogue"))
    elif options.threads is None:
        print_speed(options.category, options.out)
    else:
        measure_speed(options.threads, options.category)


if __name__ == "__main__":
    main()
