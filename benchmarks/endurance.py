"""A catalogue of 2,000 products, some broken on purpose, run undisturbed, killed again and again, and on Ray.

    python benchmarks/endurance.py build --shards DIR [--real DIR] --out CATALOGUE [--rows 2000]
    python benchmarks/endurance.py run --catalogue CATALOGUE --out DIR [--kills 20] [--engine ray]
        [--workers N] [--disk MIB] [--expect SHA256] -- --model bundled --steps 1 --threads 1 --preset fast

``build`` takes rendered images with masks out of shards (``cyclorama lab render``), further product
photos from a folder with a ``products.csv`` (rendered images serve several times, their brightness moved a
little, so that no two rows have equal contents), and adds files that no shop wants to have. ``run`` prints
one JSON line: rows, reasons of failures, seconds, and a digest over every file that is promised to be
byte-stable. With ``--kills`` the command is killed with SIGKILL at that many random moments (seeded, spread
over the time that ``--seconds`` says an undisturbed run takes) and started again; on Ray,
``--kill-workers`` kills one of Ray's actors instead. With ``--disk`` the output folder is a file system of
that size, enlarged when it is full (needs root).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

STABLE = ("images", "webdataset", "layers")
FOLDERS = ("", "Küche/", "化粧品/", "sub/one/", "sub/two/", "with space/")


def read_items(shards: Path, count: int) -> list[tuple[str, bytes, bytes]]:
    """(category, image, mask) of the first ``count`` items of the shards."""
    items: list[tuple[str, bytes, bytes]] = []
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {m.name: m for m in tar.getmembers()}
            for name in sorted(n for n in members if n.endswith(".json")):
                if len(items) == count:
                    return items
                key = name.removesuffix(".json")

                def read(member: str) -> bytes:
                    file = tar.extractfile(members[member])  # noqa: B023
                    assert file is not None
                    return file.read()

                items.append(
                    (json.loads(read(name))["category"], read(f"{key}.png"), read(f"{key}.mask.png"))
                )
    return items


def shift_brightness(image: bytes, levels: int) -> bytes:
    """The PNG ``image`` with every value raised by ``levels``."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").point(lambda value: min(255, value + levels)).save(out, "PNG")
    return out.getvalue()


def write_broken(folder: Path, image: bytes) -> list[str]:
    """Files that cannot be used, one of each kind; paths relative to ``folder``."""
    from PIL import Image

    def build_huge(side: int) -> bytes:
        """A valid black 1-bit PNG of ``side`` x ``side`` pixels in a small file."""
        body = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
        rows = zlib.compress(bytes((1 + side // 8) * side), 9)
        parts = [(b"IHDR", body), (b"IDAT", rows), (b"IEND", b"")]
        data = b"\x89PNG\r\n\x1a\n"
        for kind, content in parts:
            chunk = kind + content
            data += len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        return data

    gif = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), (80 * k, 9, 9)) for k in range(3)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    clear = io.BytesIO()
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(clear, "PNG")
    opaque = io.BytesIO()
    Image.effect_noise((96, 96), 90).convert("RGB").save(opaque, "PNG")
    files = {
        "truncated.png": image[: len(image) // 2],
        "zero.png": b"",
        "huge.png": build_huge(40_000),
        "text.png": b"not an image at all\n" * 9,
        "wrong-suffix.jpg": b"%PDF-1.7 no image",
        "animated.gif": gif.getvalue(),
        "invisible.png": clear.getvalue(),
        "no-product-to-see.png": opaque.getvalue(),
    }
    (folder / "broken").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / "broken" / name).write_bytes(data)
    return [f"broken/{name}" for name in files] + ["broken/missing.png"]


def build(args: argparse.Namespace) -> None:
    out: Path = args.out
    rows: list[dict[str, str]] = []
    real: list[dict[str, str]] = []
    if args.real is not None:
        with (args.real / "products.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                image = (args.real / row["image"]).resolve()
                real.append({"image": str(image), "mask": "", "category": row["category"]})
    known = sorted({*args.categories.split(",")}) if args.categories else None
    items = read_items(args.shards, args.rows)
    broken = write_broken(out, items[0][1])
    copies = [broken[k % len(broken)] for k in range(args.broken)]
    for k in range(args.rows - len(real) - len(copies)):
        category, image, mask = items[k % len(items)]
        image = image if k < len(items) else shift_brightness(image, k // len(items))
        place = f"{FOLDERS[k % len(FOLDERS)]}photo-{k // 2:05d}"  # each name twice, in two folders
        for kind, data in (("photos", image), ("masks", mask)):
            path = out / kind / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        name = category if known is None or category in known else known[k % len(known)]
        rows.append({"image": f"photos/{place}.png", "mask": f"masks/{place}.png", "category": name})
    rows += real
    rows += [{"image": path, "mask": "", "category": rows[0]["category"]} for path in copies]
    random.Random(0).shuffle(rows)
    with (out / "catalogue.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", "mask", "category"])
        writer.writeheader()
        writer.writerows(rows)
    print(json.dumps({"rows": len(rows), "real": len(real), "broken": len(copies)}))


def compute_digest(out: Path) -> tuple[str, int]:
    """sha256 over names and bytes of all that is promised to be stable, and the number of images."""
    total, images = hashlib.sha256(), 0
    files = [p for name in STABLE for p in (out / name).rglob("*") if p.is_file()] + [
        out / name for name in ("results.jsonl", "results.parquet")
    ]
    for path in sorted(files):
        name = path.relative_to(out).as_posix()
        images += name.startswith("images/")
        total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest(), images


def find_actors() -> list[int]:
    """Processes of Ray's actors that hold a model."""
    found = subprocess.run(["pgrep", "-f", "^ray::.*[Ww]orker"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def run(args: argparse.Namespace) -> int:
    import pyarrow.parquet as pq

    out: Path = args.out
    if args.disk:
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={args.disk}m", "tmpfs", str(out)], check=True)
    command = [
        sys.executable, "-m", "cyclorama", "generate", str(args.catalogue / "catalogue.csv"),
        "--out", str(out), "--quiet", "--workers", str(args.workers), *args.options,
    ]  # fmt: skip
    if args.engine != "in-process":
        command += ["--engine", args.engine]
    chance = random.Random(args.seed)
    started, kills, full, code = time.perf_counter(), 0, 0, -1
    while True:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
        try:
            wait = None
            if kills < args.kills:
                wait = chance.uniform(0.2, 1.8) * args.seconds / max(1, args.kills)
            _, errors = process.communicate(timeout=wait)
            code = process.returncode
        except subprocess.TimeoutExpired:
            kills += 1
            if args.kill_workers:
                actors = find_actors()
                if actors:
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(os.pidfd_open(chance.choice(actors)), signal.SIGKILL)
                _, errors = process.communicate()
                code = process.returncode
            else:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                continue
        if code == 2 and args.disk and "space" in errors:
            full += 1
            size = args.disk * (full + 1)
            subprocess.run(["mount", "-o", f"remount,size={size}m", str(out)], check=True)
            continue
        break
    seconds = time.perf_counter() - started
    digest, images = compute_digest(out)
    table = pq.read_table(out / "results.parquet")
    reasons = Counter(error for error in table.column("error").to_pylist() if error)
    report = {
        "exit": code, "rows": table.num_rows, "done": table.column("status").to_pylist().count("done"),
        "images": images, "reasons": dict(sorted(reasons.items())), "seconds": round(seconds, 1),
        "kills": kills, "disk_full": full, "digest": digest,
    }  # fmt: skip
    print(json.dumps(report, ensure_ascii=False))
    return int(args.expect is not None and digest != args.expect)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("build")
    make.add_argument("--shards", type=Path, required=True)
    make.add_argument("--real", type=Path)
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--rows", type=int, default=2000)
    make.add_argument("--broken", type=int, default=90)
    make.add_argument(
        "--categories", help="categories the model knows, comma-separated; others are spread over them"
    )
    go = actions.add_parser("run")
    go.add_argument("--catalogue", type=Path, required=True)
    go.add_argument("--out", type=Path, required=True)
    go.add_argument("--engine", default="in-process")
    go.add_argument("--workers", type=int, default=1)
    go.add_argument("--kills", type=int, default=0)
    go.add_argument("--kill-workers", action="store_true")
    go.add_argument("--seconds", type=float, default=600)
    go.add_argument("--seed", type=int, default=0)
    go.add_argument("--disk", type=int, default=0, help="MiB")
    go.add_argument("--expect", help="fail unless the digest is this one")
    go.add_argument("options", nargs="*")
    args = parser.parse_args()
    if args.action == "build":
        build(args)
        return 0
    return run(args)


if __name__ == "__main__":
    raise SystemExit(main())
