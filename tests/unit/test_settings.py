"""What a recipe states of the settings, of cyclorama.generation.settings."""

from __future__ import annotations

from cyclorama.generation.settings import GenerateConfig


def test_a_set_states_only_what_changes_it() -> None:
    plain = GenerateConfig().describe(learned=False)
    assert not {"reference_strength", "shared_sets"} & plain.keys()
    assert GenerateConfig(reference_strength=0.5).describe(learned=False) == plain
    assert GenerateConfig(reference_strength=0).describe(learned=False) == plain | {"reference_strength": 0}


def test_a_learned_model_states_its_strengths() -> None:
    stated = GenerateConfig(reference_strength=0.5).describe()
    assert (stated["reference_strength"], stated["category_strength"]) == (0.5, 1.0)
    assert "shared_sets" not in stated
