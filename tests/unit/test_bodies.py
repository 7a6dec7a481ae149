"""Where people are put in a planted image and how they are cut (``cyclorama.lab.planted.people``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.lab.planted.people import People, build_mesh, cut, pick_pose


class Chance:
    """The middle of every range, or the ``share`` of it; the first choice or ``chosen``."""

    def __init__(self, share: float = 0.5, chosen: str = "", random: float = 0.5) -> None:
        self.share, self.chosen, self.value, self.asked = share, chosen, random, []

    def random(self) -> float:
        return self.value

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        if size is not None:
            return np.array([low, 0, high])
        return low + (high - low) * (self.share if high > 0.9 or low < 0 else 0.5)

    def integers(self, low: int, high: int | None = None) -> int:
        low, high = (0, low) if high is None else (low, high)
        self.asked.append((low, high))
        return (low + high) // 2

    def choice(self, options: Any) -> Any:
        self.asked.append(options)
        return self.chosen or options[0]


def paint(width: int, height: int, mode: str = "RGBA") -> Image.Image:
    """Opaque, one colour to the left and one to the right."""
    image = Image.new(mode, (width, height), (100, 150, 200))
    image.paste((200, 100, 50), (width // 2, 0, width, height))
    if mode == "RGBA":
        image.putalpha(255)
    return image


def place(people: People, what: str, free: Any = None, **chance: Any) -> tuple[Any, Chance]:
    found = Chance(**chance)
    pixels = np.zeros((100, 100, 3), np.uint8)
    room = np.ones((100, 100), np.float32) if free is None else free
    return people.place(what, pixels, room, found), found  # type: ignore[arg-type]


def find_box(made: Any) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(made.max(axis=2))
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_a_body_stands_near_the_lower_edge_and_a_face_anywhere() -> None:
    made, chance = place(People(bodies=(paint(30, 60),)), "body")
    assert find_box(made) == (25, 95, 32, 67)  # 71 of 100 high, 4 above the edge
    assert chance.asked == [(0, 1), (0, 64)]
    made, chance = place(People(heads=(paint(40, 50),)), "face")
    assert find_box(made) == (36, 63, 39, 60) and chance.asked == [(0, 1), (0, 78), (0, 72)]
    made, _ = place(People(bodies=(paint(30, 60),)), "part")
    assert find_box(made) == (48, 95, 18, 80)  # rows 15 … 37 of the body, 48 high


def test_half_of_the_people_are_mirrored() -> None:
    people = People(bodies=(paint(30, 60),))
    plain, mirrored = (place(people, "body", random=value)[0][60] for value in (0.5, 0.49))
    assert plain[34, 0] < plain[65, 0] and mirrored[34, 0] > mirrored[65, 0]


def test_four_fifths_and_the_upper_third_must_be_seen() -> None:
    """A body of 70 by 50 at rows 26 … 95, columns 25 … 74; its upper third are 23 rows."""
    people, whole = People(bodies=(paint(50, 70),)), (26, 95, 25, 74)
    share = 0.2 / 0.42
    for rows, seen in ((14, True), (15, False)):
        free = np.ones((100, 100), np.float32)
        free[96 - rows : 96] = 0
        made, _ = place(people, "body", free, share=share)
        assert (made is not None and find_box(made) == (26, 95 - rows, 25, 74)) == seen
        if seen:
            assert (made[96 - rows : 96] == 0).all()
    for hidden, seen in ((23, True), (24, False)):
        free = np.ones((100, 100), np.float32)
        free[27, 26 : 26 + hidden] = 0
        made, _ = place(people, "body", free, share=share)
        assert (made is not None and find_box(made) == whole) == seen
    free = np.ones((100, 100), np.float32)
    free[26:49, 25:26] = 0.99
    assert find_box(place(people, "body", free, share=share)[0]) == whole


def test_a_sprite_must_be_narrower_than_the_image() -> None:
    share = 0.2 / 0.42
    made, _ = place(People(bodies=(paint(99, 70),)), "body", share=share)
    assert find_box(made) == (26, 95, 0, 98)
    made, _ = place(People(bodies=(paint(100, 70),)), "body", share=share)
    assert find_box(made)[0] == 27  # the second try is 0.985 as high


def test_sprites_are_cut_in_their_shape_and_tinted() -> None:
    source = paint(155, 200, "RGB")

    def make(what: str, shape: str) -> Any:
        chance = Chance(chosen=shape)
        sprite = np.asarray(cut(source, what, 60, chance))  # type: ignore[arg-type]
        assert sprite.shape == (60, 46, 4)
        expected = ["oval", "disc", "panel"] if what == "face" else ["panel", "round"]
        assert chance.asked == [expected]
        return sprite

    panel = make("face", "panel")
    inside = np.zeros((60, 46), np.uint8)
    inside[2:58, 2:44] = 255
    assert np.array_equal(panel[..., 3], inside)
    assert panel[30, 5, :3].tolist() == [92, 150, 216] and panel[30, 40, :3].tolist() == [184, 100, 54]
    rounded = make("bust", "round")[..., 3]
    assert rounded[2, 2] == 0 and rounded[2, 23] == 255 and rounded[30, 2] == 255 and rounded[1].max() == 0
    disc, oval = make("face", "disc")[..., 3], make("face", "oval")[..., 3]
    assert set(np.unique(disc)) == {0, 255} and disc.mean() == pytest.approx(
        255 * np.pi / 4 * 56 * 42 / 2760, rel=0.03
    )
    assert oval[30, 23] >= 254 and oval[0, 0] == 0 and len(np.unique(oval)) > 20
    assert oval.mean() == pytest.approx(disc.mean(), rel=0.03)
    bright = np.asarray(cut(Image.new("RGBA", (10, 20), (250, 250, 250, 90)), "body", 20, Chance()))  # type: ignore[arg-type]
    assert (bright == [230, 250, 255, 90]).all()


def test_poses_by_the_middle_of_their_ranges() -> None:
    chance = Chance()
    angles = pick_pose(chance)  # type: ignore[arg-type]
    assert chance.asked == [[-35, -30, 5, 50]] * 2
    assert angles["upperarm_l"] == ((0, 0, 1.0), -35) and angles["upperarm_r"] == ((0, 0, -1.0), -35)
    assert angles["lowerarm_l"] == ((-1, 0, 0), 40) and angles["calf_r"] == ((1, 0, 0), 12.5)
    assert angles["thigh_l"] == ((1, 0, 0), -5) and angles["head"] == ((0, 1, 0), 0)
    assert pick_pose(Chance(share=1.0))["upperarm_r"][1] == -29  # type: ignore[arg-type]


def test_a_mesh_has_the_means_of_its_faces_normals() -> None:
    points = np.array([[1, 2, 3], [4, 2, 3], [1, 7, 3], [1, 2, 5]], float)
    mesh = build_mesh(points, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    turned = points[:, [0, 2, 1]] * [1, -1, 1]
    normals = [np.cross(turned[b] - turned[a], turned[c] - turned[a]) for a, b, c in ((0, 1, 2), (0, 2, 3))]
    both = normals[0] + normals[1]
    assert mesh.normals[0] == pytest.approx(both / np.linalg.norm(both))
    assert mesh.normals[1] == pytest.approx(normals[0] / np.linalg.norm(normals[0]))
