"""A plain background's key and the network: who is right about what, and what the reviewer is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.imaging import opinion
from cyclorama.imaging.opinion import settle
from cyclorama.imaging.subject import Subject

SIDE = 200
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
BODY = (abs(COLUMNS - 100) <= 40) & (ROWS >= 40) & (ROWS < 150)
SHADOW = (abs(COLUMNS - 100) <= 80) & (ROWS >= 130) & (ROWS < 160) & ~BODY
BADGE = (ROWS >= 8) & (ROWS < 38) & (COLUMNS >= 8) & (COLUMNS < 38)
MIRROR = (abs(COLUMNS - 100) <= 40) & (ROWS >= 150) & (ROWS < 185)


def draw(**parts: np.ndarray) -> np.ndarray:
    """A blue body before white, and parts named by what they look like, uint8 (H, W, 3)."""
    colours = {
        "grey": (205, 205, 205),
        "red": (200, 30, 40),
        "pale": (190, 200, 235),
        "white": (255, 255, 255),
    }
    photo = np.full((SIDE, SIDE, 3), 255, np.uint8)
    photo[BODY] = (30, 70, 170)
    for name, place in parts.items():
        photo[place] = colours[name]
    return photo


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch):
    """A network that sees what it is told to."""

    def tell(mask: np.ndarray, confidence: float = 0.9, closer: np.ndarray | None = None) -> None:
        seen = mask.astype(np.float32)
        nearer = seen if closer is None else closer.astype(np.float32)
        monkeypatch.setattr(opinion, "look_at", lambda pixels: seen)
        monkeypatch.setattr(opinion, "look_closer", lambda pixels, first: (np.s_[:, :], nearer))
        monkeypatch.setattr(opinion, "find_subject", lambda pixels, first: Subject(seen, confidence))

    return tell


def test_the_same_opinion_changes_nothing(see) -> None:
    see(BODY)
    keyed = BODY.astype(np.float32)
    settled = settle(draw(), keyed)
    assert settled.matte is keyed
    assert (settled.notes, settled.confidence, settled.second) == ((), None, None)


@pytest.mark.parametrize(
    ("look", "place", "words"),
    [
        ("grey", SHADOW, "a shadow was taken out"),
        ("pale", MIRROR, "a mirror image below the product was taken out"),
        ("red", BADGE, "a badge in the top left corner was taken out"),
    ],
)
def test_what_is_no_product_goes(see, look: str, place: np.ndarray, words: str) -> None:
    see(BODY)
    settled = settle(draw(**{look: place}), (BODY | place).astype(np.float32))
    assert len(settled.notes) == 1 and words in settled.notes[0]
    found = settled.matte >= 0.5
    assert (found & BODY).sum() / (found | BODY).sum() >= 0.98
    assert settled.second is None


@pytest.mark.parametrize(("grey", "stays"), [(250, False), (200, True)])
def test_noise_of_the_ground_beside_the_product_goes_without_a_word(see, grey: int, stays: bool) -> None:
    bit = (ROWS >= 60) & (ROWS < 66) & (COLUMNS > 140) & (COLUMNS < 152)
    see(BODY)
    photo = draw()
    photo[bit] = grey
    settled = settle(photo, (BODY | bit).astype(np.float32))
    assert settled.notes == () and settled.second is None
    assert (settled.matte >= 0.5)[bit & (COLUMNS > 147)].all() == stays
    assert ((settled.matte >= 0.5) & BODY).sum() >= 0.995 * BODY.sum()


def test_a_grey_side_of_the_product_itself_stays_and_is_told(see) -> None:
    side = (COLUMNS >= 141) & (COLUMNS < 170) & (ROWS >= 40) & (ROWS < 150)
    see(BODY)
    keyed = (BODY | side).astype(np.float32)
    settled = settle(draw(grey=side), keyed)
    assert settled.matte is keyed
    iou = BODY.sum() / (BODY | side).sum()
    assert f"IoU {iou:.2f}, 0.9 is the least" in settled.notes[0]
    assert settled.second is not None and settled.second.shape == (SIDE, SIDE, 4)
    assert ((settled.second[..., 3] == 255) == BODY).all()


def test_a_thin_part_comes_back(see) -> None:
    leg = (abs(COLUMNS - 80) <= 4) & (ROWS >= 150) & (ROWS < 175)
    see(BODY | leg)
    photo = draw()
    photo[leg] = (90, 90, 95)
    settled = settle(photo, BODY.astype(np.float32))
    found = settled.matte >= 0.5
    assert (found & leg).sum() >= 0.9 * leg.sum()
    assert (found & ~(BODY | leg)).sum() <= 10


def test_where_the_key_lost_the_product_the_network_stands_in(see) -> None:
    see(BODY, 0.9)
    upper = (BODY & (ROWS < 95)).astype(np.float32)
    settled = settle(draw(white=BODY & (ROWS >= 95)), upper)
    assert settled.confidence == 0.9 and (settled.matte >= 0.5)[BODY].all()
    assert "a network found it instead" in settled.notes[0]


@pytest.mark.parametrize(("down", "look", "back"), [(0, "white", 1), (0, "grey", 0), (50, "grey", 1)])
def test_in_doubt_what_is_white_or_cut_by_the_frame_comes_back(
    see, down: int, look: str, back: float
) -> None:
    body = np.roll(BODY, down, axis=0)
    lower = body & (95 + down <= ROWS)
    see(body, 0.5)
    photo = np.roll(draw(**{look: BODY & (ROWS >= 95)}), down, axis=0)
    upper = (body & ~lower).astype(np.float32)
    settled = settle(photo, upper)
    assert settled.confidence is None
    assert ((settled.matte >= 0.5) & lower).sum() == pytest.approx(back * lower.sum(), abs=0.04 * lower.sum())
    assert ((settled.matte >= 0.5) & ~body).sum() <= 0.02 * body.sum()
    assert (settled.second is None) == bool(back)


def test_an_enclosed_hole_stays_open_and_an_unsure_network_has_no_say(see) -> None:
    hole = (np.hypot(ROWS - 90, COLUMNS - 100) <= 20) & BODY
    see(BODY & ~hole)
    keyed = (BODY & ~hole).astype(np.float32)
    settled = settle(draw(white=hole), keyed)
    assert settled.matte is keyed and settled.confidence is None
    see(np.where(BODY, 0.6, 0))
    assert settle(draw(grey=SHADOW), (BODY | SHADOW).astype(np.float32)).notes == ()


def test_a_label_as_white_as_the_background_is_the_products(see) -> None:
    label = (abs(COLUMNS - 100) <= 25) & (ROWS >= 70) & (ROWS < 120)
    handle = (np.hypot(ROWS - 55, COLUMNS - 100) <= 8) & BODY
    see(BODY & ~handle)
    soft = ndimage.gaussian_filter((BODY & ~label & ~handle).astype(np.float32), 0.7)
    settled = settle(draw(white=label | handle), np.where(BODY, soft, 0).astype(np.float32))
    assert (settled.matte[label] == 1).all()
    assert settled.matte[51:60, 96:105].max() < 0.1  # the handle's hole stays open
    assert settled.notes == () and settled.second is None


def test_background_that_the_key_leaves_in_a_hole_goes(see) -> None:
    hole = (np.hypot(ROWS - 90, COLUMNS - 100) <= 24) & BODY
    see(BODY & ~hole)
    photo = draw()
    photo[hole] = (236, 236, 236)
    settled = settle(photo, BODY.astype(np.float32))
    assert "the background seen through it was taken out" in settled.notes[0]
    assert ((settled.matte >= 0.5) & hole).sum() <= 0.1 * hole.sum()


def test_a_handle_that_only_a_closer_look_sees_through_stays_open(see) -> None:
    handle = (np.hypot(ROWS - 90, COLUMNS - 100) <= 20) & BODY
    see(BODY, closer=BODY & ~handle)
    keyed = (BODY & ~handle).astype(np.float32)
    assert settle(draw(white=handle), keyed).matte is keyed


def test_faint_bits_that_stick_to_the_outline_go_untold_and_real_ones_stay(see) -> None:
    see(BODY)
    place = (abs(COLUMNS - 100) <= 4) & (ROWS >= 33) & (ROWS < 40)
    for colour, left in (((243, 243, 243), 0), ((150, 60, 60), 1)):
        photo = draw()
        photo[place] = colour
        settled = settle(photo, (BODY | place).astype(np.float32))
        assert settled.notes == ()
        assert (settled.matte[33:35, 98:103] >= 0.5).mean() == left


def test_ground_between_the_product_and_its_shadow_goes_with_it(see) -> None:
    body = BODY & (ROWS < 140 - 0.25 * (COLUMNS - 60))
    line = (abs(COLUMNS - 100) <= 70) & (ROWS >= 140) & (ROWS < 156)
    gap = (abs(COLUMNS - 100) <= 40) & (ROWS < 140) & (ROWS >= 100) & ~body
    see(np.where(body, 1, np.where(gap, 0.7, 0)))
    photo = np.full((SIDE, SIDE, 3), 255, np.uint8)
    photo[body], photo[line] = (30, 70, 170), (190, 190, 190)
    found = settle(photo, (body | gap | line).astype(np.float32)).matte >= 0.5
    assert (found & body).sum() / (found | body).sum() >= 0.98


def test_in_doubt_a_frayed_grey_part_comes_back_and_a_thing_apart_does_not(see) -> None:
    frayed = BODY & (ROWS >= 95) & (ROWS < 135) & (COLUMNS >= 105) & (ROWS % 4 > 0)
    apart = (abs(COLUMNS - 100) <= 20) & (ROWS >= 170) & (ROWS < 176)
    see(BODY | apart, 0.5)
    photo = draw(grey=frayed | apart)
    settled = settle(photo, (BODY & ~frayed).astype(np.float32))
    found = settled.matte >= 0.5
    assert found[BODY].mean() >= 0.99 and not found[apart].any()


def test_a_room_with_a_light_wall_is_no_plain_background_where_the_network_is_sure(see) -> None:
    floor = (ROWS >= 120) & ~BODY
    for confidence, source in ((0.9, 0.9), (0.5, None)):
        see(BODY, confidence)
        settled = settle(draw(red=floor), (BODY | floor).astype(np.float32))
        assert settled.confidence == source
        assert ((settled.matte >= 0.5) & floor).any() == (source is None)
        assert any("a wall" in note for note in settled.notes) == (source is not None)


@pytest.mark.parametrize(
    ("colour", "wide", "closed"),
    [((243, 243, 245), 9, True), ((243, 243, 245), 20, False), ((30, 70, 170), 9, False)],
)
def test_a_bite_out_of_a_pale_outline_is_closed(
    see, colour: tuple[int, int, int], wide: int, closed: bool
) -> None:
    photo = np.full((SIDE, SIDE, 3), 255, np.uint8)
    photo[BODY] = colour
    bite = BODY & (abs(ROWS - 90 - wide // 2) <= wide // 2) & (COLUMNS > 134)
    see(0.6 * BODY)  # it is unsure, so it has no other say
    matte = settle(photo, (BODY & ~bite).astype(np.float32)).matte
    assert matte[bite].mean() > 0.97 if closed else not matte[bite].any()
    assert (matte[BODY & ~bite] == 1).all() and not matte[~BODY].any()
    double = np.ones((2, 2, 1), np.uint8)  # the network looks at a smaller image
    large = settle(np.kron(photo, double), np.kron(BODY & ~bite, double[..., 0]).astype(np.float32)).matte
    assert 0 <= large.min() <= large.max() <= 1
    inside = np.kron(ndimage.binary_erosion(bite, iterations=2), double[..., 0]) > 0
    assert (large[inside] > 0.97).all() if closed else not large[inside].any()
