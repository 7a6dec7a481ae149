"""A table of products: rows in, rows out; run again, and only what is missing is made.

    python examples/table.py --out out/table
    python examples/table.py --out out/table --table products.csv --workers 2
    python examples/table.py --out /shared/out --table /shared/products.csv --engine ray --address auto

Without a table of one's own the bundled products make one. The command for the same is
``cyclorama generate products.csv --out out/table``. Images and results are byte for byte equal for any engine
and number of workers. On a cluster of several machines the inputs and ``--out`` must be on a disk they share;
docs/cluster.md says how to start one.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from cyclorama import GenerateConfig
from cyclorama.generation.demo import get_demo_folder, load_demo
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import open_model
from cyclorama.generation.run import run_images
from cyclorama.generation.settings import RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings


def main() -> None:
    """Write a table if none is given, run it, and print the results."""
    parser = argparse.ArgumentParser(description="A table of products.")
    parser.add_argument("--out", type=Path, default=Path("out/table"), help="output folder")
    parser.add_argument("--table", type=Path, help="table or feed with image and category")
    parser.add_argument("--products", type=int, default=9, help="how many of the bundled products to take")
    parser.add_argument("--model", help="model folder or hub id (default: the bundled model)")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps")
    parser.add_argument("--engine", choices=("in-process", "ray"), default="in-process")
    parser.add_argument("--workers", type=int, help="models at work at once")
    parser.add_argument("--address", help="address of a Ray cluster (default: start one here)")
    args = parser.parse_args()

    table = args.table or args.out / "products.csv"
    if args.table is None:
        args.out.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = [(e.product.absolute(), e.category) for e in load_demo(get_demo_folder())[: args.products]]
            csv.writer(file).writerows([("image", "category"), *rows])

    engine = EngineSettings(engine=args.engine, workers=args.workers, address=args.address, shard_size=4)
    config = RunConfig(GenerateConfig(num_inference_steps=args.steps), RunSettings(), engine)
    result = run_images(ItemSource(table), args.out, open_model(args.model), config)
    for line in (args.out / "results.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        print(f"{row['name']}: {row['status']}, {row.get('output') or row['reason']}")
    print(f"{result.done} of {result.rows} rows done, {result.failed} failed, {result.made} images new")


if __name__ == "__main__":
    main()
