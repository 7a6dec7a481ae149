"""How baselines find their weights: LaMa (``cyclorama.lab.baselines.lama``) and ControlNet
(``cyclorama.lab.baselines.controlnet``), by the folder and by ``weights``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.lab.baselines import controlnet, lama
from cyclorama.lab.baselines.folders import compute_weights_hash
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import Inputs, OpenRegistry
from cyclorama.models.generators import Branch

UNET = {"in_channels": 4, "block_out_channels": [8, 16], "cross_attention_dim": 16}


def write_part(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "weights.safetensors").write_bytes(b"weights")
    return folder


def write_base(folder: Path, **unet: object) -> Path:
    for part in ("vae", "text_encoder"):
        write_part(folder / part)
    write_part(folder / "unet", **{**UNET, **unet})
    for part in ("scheduler", "tokenizer"):
        (folder / part).mkdir()
    return folder


def test_a_hint_is_filled_as_its_control_net_was_trained(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    write_part(base / "controlnet", **UNET, _class_name=Branch.__name__)
    own = controlnet.open_method(str(base), BaselineOptions())
    assert own.settings == {"prompt": None, "hint_fill": 0.0} and own.name == "controlnet:base"
    assert own.folder == base and own.uses_reference and not own.needs_reference
    theirs = str(write_part(tmp_path / "published", **UNET, _class_name="ControlNetModel"))
    found = controlnet.open_method(str(base), BaselineOptions(weights=theirs, prompt="a {category}"))
    assert found.settings == {"prompt": "a {category}", "hint_fill": -1.0}
    assert found.name == "controlnet:published" and found.hash != own.hash
    (base / "text_encoder/config.json").write_text('{"prompt": "A photo of {category}"}')
    trained = controlnet.open_method(str(base), BaselineOptions())
    assert trained.settings["prompt"] == "A photo of {category}"
    asked = controlnet.open_method(str(base), BaselineOptions(prompt="a {category}"))
    assert asked.settings["prompt"] == "a {category}"
    stated = controlnet.open_method(str(base), BaselineOptions(weights=theirs, hint_fill=0))
    assert stated.settings["hint_fill"] == 0


@pytest.mark.parametrize("key", ["in_channels", "block_out_channels", "cross_attention_dim"])
def test_a_control_net_of_another_base_is_refused(tmp_path: Path, key: str) -> None:
    base = write_base(tmp_path / "base")
    write_part(base / "controlnet", **{**UNET, key: 3})
    with pytest.raises(
        ModelFormatError, match=f"has {key} 3, the base in .*use the ControlNet with the base"
    ):
        controlnet.open_method(str(base), BaselineOptions())


def test_what_lacks_a_control_net_says_so(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    with pytest.raises(ModelFormatError, match="lacks the sub-folder controlnet/; give --model"):
        controlnet.open_method(str(base), BaselineOptions())
    with pytest.raises(ModelNotFoundError, match="no folder at"):
        controlnet.open_method(str(tmp_path / "none"), BaselineOptions())


def test_a_hard_hint_is_cut_at_one_half() -> None:
    mask = torch.tensor([0.0, 0.49, 0.5, 1.0]).reshape(1, 1, 1, 4)
    image = torch.tensor([-1.0, 0.0, 0.5, 1.0]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    hint = controlnet.build_hint(image, mask, -1, with_mask=True)
    assert hint[0, :3, 0].tolist() == [[-1.0, -1.0, 0.75, 1.0]] * 3 and hint[0, 3, 0].tolist() == [0, 0, 1, 1]
    assert controlnet.build_hint(image, mask, -1).shape == (1, 3, 1, 4)
    soft = controlnet.build_hint(image, mask, 0)
    torch.testing.assert_close(soft[0, 0, 0], torch.tensor([0.0, 0.245, 0.375, 1.0]))


def test_lama_is_its_file_and_card(tmp_path: Path) -> None:
    found = lama.open_method(None, BaselineOptions())
    folder = found.folder
    assert found.settings == {} and not found.uses_reference and found.name == "lama:bundled"
    parts = sorted(
        path for path in folder.iterdir() if path.suffix == ".safetensors" or path.name == lama.CARD_NAME
    )
    assert len(parts) == 2 and found.hash == compute_weights_hash(
        *sorted(parts, key=lambda p: p.name == lama.CARD_NAME)
    )
    with pytest.raises(ModelNotFoundError):
        lama.open_method(str(tmp_path / "none"), BaselineOptions())


def test_lama_sees_what_is_product_from_its_bound_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(lama, "fill", lambda image, hole, model: asked.append(hole) or image)
    method = lama.LamaBaseline.__new__(lama.LamaBaseline)
    method.model = None  # type: ignore[assignment]
    mask = torch.tensor([0.0, 0.94, 0.95, 1.0]).reshape(1, 1, 1, 4)
    image = torch.zeros(1, 3, 1, 4)
    method.paint(Inputs(image, mask, (OpenRegistry().resolve("vase"),), None, None), [], SamplingConfig())
    assert asked[0].flatten().tolist() == [1, 1, 0, 0]
