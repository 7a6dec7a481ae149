"""How fast is `cyclorama evaluate`, and how much memory does it take?

    cyclorama lab render --size 256 --count 1944 --seed 1 --out out/render
    python benchmarks/evaluation.py out/render [--count 1000] [--threads 2] [--metrics distance,similarity]

The scored images are made for the purpose: each product before the background of the next image of its
category, which is also its reference. Truths and references are the rendered images. The command runs in a
process of its own, once for each line: all metrics but text (its default), then each group alone. Prints
Markdown: wall and processor seconds with loading, images a second by either, peak memory of the process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.data.shards import scan_shard
from cyclorama.evaluation.settings import DEFAULT_GROUPS


def build_sets(shards: Path, folder: Path, count: int) -> int:
    """Write images/, truth/ and references/ of at most ``count`` items below ``folder``; how many."""
    members = {entry.key: entry for shard in sorted(shards.glob("*.tar")) for entry in scan_shard(str(shard))}
    keys = list(members)[:count]
    categories = {key: json.loads(members[key].read("json"))["category"] for key in keys}
    by_category: dict[str, list[str]] = {}
    for key in keys:
        by_category.setdefault(categories[key], []).append(key)
    for name in ("images", "truth", "references"):
        (folder / name).mkdir()
    for key in keys:
        (folder / "truth" / f"{key}.png").write_bytes(members[key].read("png"))
        (folder / "truth" / f"{key}.mask.png").write_bytes(members[key].read("mask.png"))
    rows = []
    for names in by_category.values():
        for key, other in zip(names, [*names[1:], names[0]], strict=True):
            product, background = (load(folder / "truth" / f"{k}.png") for k in (key, other))
            alpha = load(folder / "truth" / f"{key}.mask.png", "L")[..., None] / 255
            pixels = np.rint(product * alpha + background * (1 - alpha)).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
            (folder / "images" / f"{key}.png").write_bytes(stream.getvalue())
            for ending in (".png", ".mask.png"):
                (folder / "references" / f"{key}{ending}").symlink_to(folder / "truth" / f"{other}{ending}")
            rows.append(
                {
                    "id": key,
                    "output": f"{key}.png",
                    "mask": f"../truth/{key}.mask.png",
                    "category": categories[key],
                    "reference": key,
                }
            )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "images" / "manifest.jsonl").write_text(lines)
    return len(keys)


def load(path: Path, mode: str = "RGB") -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def measure(folder: Path, groups: str, threads: int) -> tuple[float, float, float]:
    """(wall seconds, processor seconds, peak GiB) of one run of the command."""
    command = [sys.executable, "-m", "cyclorama", "evaluate", str(folder / "images"), "--quiet"]
    command += ["--against", str(folder / "truth"), "--references", str(folder / "references")]
    command += ["--metrics", groups, "--out", str(folder / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    # A process between, since the peak of children is that of the largest one ever waited for.
    code = (
        "import json, resource, subprocess, sys, time\n"
        "start = time.monotonic()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, capture_output=True, text=True, env=environment
    )
    wall, processor, kilobytes = json.loads(done.stdout)
    return wall, processor, kilobytes / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="folder that `cyclorama lab render` wrote")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--metrics", help="only these groups, in one run (default: all, then each alone)")
    parser.add_argument("--work", type=Path, help="where the sets are written (default: the system's place)")
    args = parser.parse_args()
    runs = [args.metrics] if args.metrics else [",".join(DEFAULT_GROUPS), *DEFAULT_GROUPS]
    with tempfile.TemporaryDirectory(dir=args.work) as place:
        count = build_sets(args.shards.resolve(), Path(place), args.count)
        print(f"{count} images, {args.threads} threads\n")
        print("| metrics | wall s | images/s | processor s | images/s of processor | peak GiB |")
        print("|---|---|---|---|---|---|")
        for groups in runs:
            wall, processor, peak = measure(Path(place), groups, args.threads)
            print(
                f"| {groups} | {wall:.0f} | {count / wall:.1f} | {processor:.0f} | {count / processor:.1f} | "
                f"{peak:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
