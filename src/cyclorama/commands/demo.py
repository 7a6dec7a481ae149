"""``cyclorama demo``: the bundled products, without a reference and with two, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclorama.commands.generate import Plain


def demo(
    *,
    out: Path = Path("out/demo"),
    images: Path | None = None,
    model: str | None = None,
    seed: int = 0,
    preset: Literal["quality", "balanced", "fast"] = "balanced",
    steps: int | None = None,
    guidance: float = 2.0,
    scheduler: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    overwrite: Annotated[bool, Plain] = False,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make images of the bundled products: without a reference and with two.

    Results: DIR/index.html, DIR/sheet.png, DIR/images/, DIR/results.jsonl. Run again to go on after a stop.

    Parameters
    ----------
    out
        Output folder.
    images
        A folder of one's own in the demo's layout.
    model
        Model folder or hub id; the bundled model if left out.
    seed
        Seed of the run.
    preset
        Sampler and steps: quality (50 steps), balanced (25), fast (10).
    steps
        Denoising steps; the preset's if left out.
    guidance
        Guidance scale; 1 means none.
    scheduler
        Class name of a diffusers scheduler; the preset's if left out.
    batch_size
        Images sampled together.
    device
        auto, cpu, cuda, cuda:1 or mps.
    dtype
        Number format of the model.
    overwrite
        Make all images anew.
    quiet
        Print errors only.
    """
    from cyclorama.commands.generate import build_config, finish, make_images
    from cyclorama.files import check_output_folder
    from cyclorama.generation.demo import build_demo_items, get_demo_folder, load_demo, write_demo_report
    from cyclorama.generation.model import open_model
    from cyclorama.generation.run import iterate_rows
    from cyclorama.generation.settings import GenerateConfig, RunSettings
    from cyclorama.generation.sheet import describe_run
    from cyclorama.jobs.job import EngineSettings

    settings = GenerateConfig(
        preset=preset,
        num_inference_steps=steps,
        guidance_scale=guidance,
        scheduler=scheduler,
        batch_size=batch_size,
    )
    run = RunSettings(seed=seed, dtype=dtype, overwrite=overwrite)
    config = build_config(settings, run, EngineSettings(device=device))
    check_output_folder(out)
    entries, handle = load_demo(images or get_demo_folder()), open_model(model)
    result = make_images(build_demo_items(entries), out, handle, config, quiet)
    if result.finished:
        summary = describe_run(handle, config, result.done, result.failed, result.rows)
        write_demo_report(out, entries, list(iterate_rows(out)), summary)
    return finish(result, out, quiet)
