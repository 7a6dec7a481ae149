"""The set that a curating run makes trains stage ``category`` straight from its shards."""

from __future__ import annotations

from pathlib import Path

import torch
from _curating import build_recipe, build_test_rules, write_input
from _training import SIZE, build_config, save_tiny_model
from safetensors.torch import load_file

from cyclorama.curate.run import run_curate
from cyclorama.data.examples import SourceConfig
from cyclorama.jobs.job import EngineSettings
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.training.config import DataConfig
from cyclorama.training.loop import train
from cyclorama.training.stages import STAGES


def test_stage_category_trains_from_curated_shards(tmp_path: Path):
    manifest = write_input(tmp_path / "shop", count=16)
    engine = EngineSettings(threads=None)
    made = run_curate(str(manifest), tmp_path / "out", build_recipe(), engine, build=build_test_rules)
    assert made.verdicts["keep"] + made.verdicts["repair"] == 10
    base = save_tiny_model(tmp_path / "base")
    source = SourceConfig(path=tmp_path / "out" / "set", kind="shards", split="train")
    config = build_config(str(base), data=DataConfig(source=source, image_size=SIZE), steps=3, batch_size=2)
    result = train(STAGES["category"], config, tmp_path / "run")
    assert result.step == 3 and result.model is not None
    names = CycloramaPipeline.from_pretrained(result.model).registry.names
    assert {"Cup", "vases"} <= set(names)
    before, after = (
        load_file(folder / "category_generator" / "diffusion_pytorch_model.safetensors")
        for folder in (base, result.model)
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.isfinite(values).all() for values in after.values())
