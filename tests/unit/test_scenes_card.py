"""A cut-out on a stage: camera solved from its box, front on its pixels, body behind it, foot on ground."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cyclorama.scenes.card import LOWEST, build_card, solve_camera
from cyclorama.scenes.stage import BodyShape, Framing, cast_rays, project

FRAMING = Framing(share=(0.5, 0.6), fov=27.0)
ROUND = BodyShape(depth=1.0)
CANVASES = [(512, 512), (600, 400), (360, 900), (701, 333)]


def place_box(
    canvas: tuple[int, int], share: float, ratio: float, corner: tuple[float, float]
) -> tuple[int, ...]:
    """A box with its height to its width as ``ratio``, somewhere on ``canvas``."""
    tall = min(share * canvas[0], share * canvas[1] * ratio)
    wide = tall / ratio
    top, left = corner[0] * (canvas[0] - tall), corner[1] * (canvas[1] - wide)
    return round(top), round(left), round(tall), round(wide)


def draw_bottle(canvas: tuple[int, int], box: tuple[int, ...], base: float = 0.06) -> NDArray[np.float32]:
    """A bottle's outline that fills ``box``: neck above, the ellipse of its foot below."""
    top, left, tall, wide = box
    y, x = np.mgrid[: canvas[0], : canvas[1]]
    u, v = (x + 0.5 - left) / wide * 2 - 1, (y + 0.5 - top) / tall
    half = np.where(v < 0.3, 0.35, 1.0)
    foot = 1 - base + base * np.sqrt(np.clip(1 - u**2, 0, 1))
    return ((np.abs(u) <= half) & (v >= 0) & (v <= foot)).astype(np.float32)


@pytest.mark.parametrize("canvas", CANVASES)
@pytest.mark.parametrize("share", [0.15, 0.55, 0.95])
@pytest.mark.parametrize("lies", [False, True])
def test_camera_sees_the_product_in_its_box(canvas: tuple[int, int], share: float, lies: bool) -> None:
    for ratio, corner in ((2.0, (0.5, 0.5)), (0.5, (0.9, 0.1)), (1.0, (0.2, 0.8))):
        box = place_box(canvas, share, ratio, corner)
        camera = solve_camera(canvas, box, FRAMING, 60.0 if lies else 8.0, lies)
        world = box[2] / max(box[2], 0.8 * box[3])
        reach = world / 2 / np.sin(np.deg2rad(60))  # what lies is seen shortened
        ends = [[0, -reach, 0], [0, reach, 0]] if lies else [[0, 0, 0], [0, 0, world]]
        seen = project(np.array(ends), camera) * (canvas[1], canvas[0])
        middle, foot = box[1] + box[3] / 2, box[0] + box[2]
        assert seen[0] == pytest.approx([middle, foot], abs=1e-6)
        assert camera.aspect == canvas[1] / canvas[0]
        assert seen[1] == pytest.approx([middle, box[0]], abs=1e-6)


@pytest.mark.parametrize("elevation", [0.0, 2.0, 8.0, 10.0, 24.0])
@pytest.mark.parametrize("fov", [27.0, 90.0])
def test_what_lies_is_seen_from_above_however_low_the_camera_is_asked_for(
    elevation: float, fov: float
) -> None:
    """A brand's file may ask for 8 degrees, for products that stand."""
    framing = Framing(share=(0.42, 0.58), elevation=(52, 66), fov=fov)
    for share in (0.15, 0.55, 0.95):
        box = place_box((512, 512), share, 1.0, (0.5, 0.5))
        camera = solve_camera((512, 512), box, framing, elevation, True)
        assert camera == solve_camera((512, 512), box, framing, LOWEST, True)
        assert 0 < camera.fov < 180
        above, along = camera.origin[2], -camera.origin[1]
        assert np.rad2deg(np.arctan2(above, along)) == pytest.approx(LOWEST)
        matte = np.zeros((512, 512), np.float32)
        top, left, tall, wide = box
        matte[top : top + tall, left : left + wide] = 1
        front = build_card(np.zeros((512, 512, 3), np.uint8), matte, camera, BodyShape(depth=0.1, lies=True))[
            0
        ]
        seen = project(front.mesh.vertices, camera) * 512
        found = [seen[:, 1].min(), seen[:, 0].min(), np.ptp(seen[:, 1]), np.ptp(seen[:, 0])]
        assert found == pytest.approx(box, abs=0.01 * 512)


def test_distance_follows_from_the_share_within_limits() -> None:
    def measure(share: float) -> tuple[float, float]:
        camera = solve_camera((500, 500), place_box((500, 500), share, 2.0, (0.5, 0.5)), FRAMING, 8.0)
        return float(np.linalg.norm(np.subtract(camera.origin, camera.target))), camera.fov

    near, far = measure(0.6), measure(0.5)
    assert near[0] / far[0] == pytest.approx(0.5 / 0.6, rel=1e-6)  # as in the category's own scenes
    assert near[1] == pytest.approx(27, abs=0.4)
    assert far[1] == pytest.approx(27, abs=0.4)
    assert measure(0.1)[0] == pytest.approx(measure(0.4)[0])  # the angle of view gives way instead
    assert measure(0.1)[1] > 80


def test_rays_and_projection_are_inverse() -> None:
    camera = solve_camera((300, 700), (100, 500, 120, 80), FRAMING, 11.0)
    places = np.random.default_rng(3).random((50, 2))
    points = np.array(camera.origin) + cast_rays(places, camera) * np.linspace(1, 9, 50)[:, None]
    assert project(points, camera) == pytest.approx(places, abs=1e-9)


@pytest.mark.parametrize("body", [BodyShape(), ROUND.replace(round=False), BodyShape(depth=0.3, lies=True)])
def test_front_and_body_lie_on_the_same_rays(body: BodyShape) -> None:
    canvas, box = (400, 400), (100, 140, 220, 120)
    camera = solve_camera(canvas, box, FRAMING, 55.0 if body.lies else 8.0, body.lies)
    matte = draw_bottle(canvas, box)
    front, back, walls = build_card(np.full((*canvas, 3), 200, np.uint8), matte, camera, body)
    seen = [project(p.mesh.vertices.astype(float), camera) for p in (front, back)]
    assert seen[0] == pytest.approx(seen[1], abs=2e-6)
    closed = project(walls.mesh.vertices.astype(float), camera)  # seen from their edge
    assert np.abs(closed.reshape(-1, 4, 2)[:, [0, 1]] - closed.reshape(-1, 4, 2)[:, [3, 2]]).max() < 2e-6
    distance = [np.linalg.norm(p.mesh.vertices - np.array(camera.origin), axis=1) for p in (front, back)]
    assert (distance[1] >= distance[0]).all()
    assert (distance[1] - distance[0]).max() > 0.1
    pixels = seen[0] * 400  # inside the outline, to a pixel
    inside = matte[np.clip(pixels[:, 1].astype(int), 0, 399), np.clip(pixels[:, 0].astype(int), 0, 399)]
    assert inside.mean() > 0.6
    low, high = pixels.min(0), pixels.max(0)
    assert (*low[::-1], *high[::-1]) == pytest.approx((100, 140, 320, 260), abs=0.6)


def test_round_foot_stands_on_the_ground_along_its_whole_front() -> None:
    canvas, box = (400, 400), (100, 140, 220, 120)
    camera = solve_camera(canvas, box, FRAMING, 8.0)
    front, *_ = build_card(
        np.full((*canvas, 3), 200, np.uint8), draw_bottle(canvas, box), camera, BodyShape(depth=1.0)
    )
    points = front.mesh.vertices
    points = points[points[:, 2] < 0.5]  # its neck stands back
    middle = points[np.abs(points[:, 0]) < 0.02]
    side = points[np.abs(points[:, 0] - 0.2) < 0.02]
    for part in (middle, side):
        foot = part[np.argmin(part[:, 2])]
        assert foot[2] == pytest.approx(0, abs=0.012)
    assert middle[:, 1].max() == pytest.approx(0, abs=0.015)
    assert side[:, 1].min() > 0.025  # the foot's ellipse is a circle on the ground


def test_what_overhangs_stands_above_the_foot() -> None:
    """A lamp: a narrow foot below a wide shade."""
    canvas, box = (400, 400), (100, 100, 200, 200)
    matte = np.zeros(canvas, np.float32)
    matte[100:200, 100:300] = 1
    matte[200:300, 180:220] = 1
    camera = solve_camera(canvas, box, FRAMING, 8.0)
    front, *_ = build_card(np.full((*canvas, 3), 200, np.uint8), matte, camera, BodyShape())
    points = front.mesh.vertices
    foot, shade = points[np.abs(points[:, 0]) < 0.09], points[np.abs(points[:, 0]) > 0.2]
    assert foot[foot[:, 2] < 0.3][:, 1] == pytest.approx(-0.03, abs=0.035)  # its edge is round
    assert shade[:, 1].min() == pytest.approx(-0.6 / 2 * 160 / 200, abs=0.01)  # towards the camera
    assert shade[:, 2].min() == pytest.approx(0.52, abs=0.03)


def test_a_ball_bulges_over_its_foot_and_a_box_does_not() -> None:
    canvas, box = (400, 400), (100, 100, 200, 200)
    camera = solve_camera(canvas, box, FRAMING, 8.0)
    y, x = np.mgrid[:400, :400]
    ball = (np.hypot(y - 199.5, x - 199.5) <= 100).astype(np.float32)
    cube = np.zeros(canvas, np.float32)
    cube[100:300, 100:300] = 1
    colours = np.full((*canvas, 3), 200, np.uint8)
    reach = [build_card(colours, m, camera, ROUND)[0].mesh.vertices[:, 1] for m in (ball, cube)]
    assert reach[0].min() < -0.15
    assert reach[1] == pytest.approx(-0.03, abs=0.035)


def test_a_handle_or_a_spout_does_not_bulge_towards_the_camera() -> None:
    canvas = (400, 400)
    camera = solve_camera(canvas, (100, 100, 200, 200), FRAMING, 8.0)
    cup = np.zeros(canvas, np.float32)
    cup[100:300, 100:240] = 1
    mug = cup.copy()
    mug[140:240, 240:300] = 1
    kettle = mug.copy()
    kettle[150:230, 240:280] = 0  # between the pot and its handle
    kettle[160:220, 60:100] = 1
    colours = np.full((*canvas, 3), 200, np.uint8)
    reach = [build_card(colours, m, camera, ROUND)[0].mesh.vertices[:, 1].min() for m in (cup, mug, kettle)]
    assert reach[1:] == pytest.approx([reach[0]] * 2, abs=0.03)  # 0.2 and 0.3 if they did


def test_front_overhangs_its_foot_by_the_bodys_share_of_the_width() -> None:
    canvas, box = (400, 400), (100, 100, 200, 200)
    camera = solve_camera(canvas, box, FRAMING, 8.0)
    cube = np.zeros(canvas, np.float32)
    cube[100:300, 100:300] = 1
    body = BodyShape(depth=0.5, round=False, overhang=0.1)
    front, *_ = build_card(np.full((*canvas, 3), 200, np.uint8), cube, camera, body)
    points = front.mesh.vertices
    low, high = points[points[:, 2] < 0.005], points[points[:, 2] > 0.12]
    assert low[:, 1].max() == pytest.approx(0, abs=0.015)
    assert high[:, 1] == pytest.approx(-0.1, abs=0.005)


def draw_table(canvas: tuple[int, int]) -> NDArray[np.float32]:
    """A table from 100 to 300: a top 60 high on four legs, the two rear ones 12 pixels higher."""
    matte = np.zeros(canvas, np.float32)
    matte[200:260, 100:300] = 1
    for left, low in ((100, 300), (290, 300), (130, 288), (260, 288)):
        matte[260:low, left : left + 10] = 1
    return matte


def test_a_top_on_legs_stands_over_the_line_between_its_front_feet() -> None:
    canvas = (400, 400)
    camera = solve_camera(canvas, (200, 100, 100, 200), FRAMING, 8.0)
    body = BodyShape(depth=0.6, round=False, overhang=0.0)
    front, back, _ = build_card(np.full((*canvas, 3), 200, np.uint8), draw_table(canvas), camera, body)
    for part in (front, back):  # no lower than the top's lower edge, in front and behind
        top = part.mesh.vertices[np.abs(part.mesh.vertices[:, 0]) < 0.3]
        assert top[:, 2].min() == pytest.approx(40 / 100 * 0.5 * 1.25, abs=0.04)
    assert front.mesh.vertices[:, 1] == pytest.approx(0, abs=0.01)
    assert back.mesh.vertices[:, 1].max() == pytest.approx(0.6 * 1.25, abs=0.1)


def test_a_turned_box_stands_along_both_its_lower_edges() -> None:
    """The near corner is lowest; to both sides the foot runs back, in straight lines on the ground."""
    canvas = (400, 400)
    x = np.arange(400)
    y = np.arange(400)[:, None]
    lower = 300 - 0.1 * np.abs(x - 160)
    matte = ((y < lower) & (y >= 120) & (x >= 120) & (x < 300)).astype(np.float32)
    camera = solve_camera(canvas, (120, 120, 180, 180), FRAMING, 8.0)
    body = BodyShape(depth=0.6, round=False, overhang=0.0)
    front, *_ = build_card(np.full((*canvas, 3), 200, np.uint8), matte, camera, body)
    points = front.mesh.vertices
    nearest = points[np.argmin(points[:, 1])]
    assert nearest[:2] == pytest.approx([(160.5 - 210) / 180, 0.0], abs=0.06)
    right = points[points[:, 0] > 0.4]
    foot = right[right[:, 2] < 0.1]
    assert foot[np.argmin(foot[:, 2]), 2] == pytest.approx(0, abs=0.02)
    assert foot[:, 1].min() > 0.2


def test_the_body_is_closed() -> None:
    """Every edge of front, back and walls together belongs to two faces."""
    canvas, box = (200, 200), (40, 60, 120, 80)
    camera = solve_camera(canvas, box, FRAMING, 8.0)
    parts = build_card(
        np.zeros((*canvas, 3), np.uint8), draw_bottle(canvas, box), camera, BodyShape(depth=1.0)
    )
    points = np.concatenate([p.mesh.vertices for p in parts])
    starts = np.cumsum([0, *(len(p.mesh.vertices) for p in parts[:-1])])
    faces = np.concatenate([p.mesh.faces + start for p, start in zip(parts, starts, strict=True)])
    _, same = np.unique(np.round(points, 6), axis=0, return_inverse=True)
    faces = same.reshape(-1)[faces]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts % 2 == 0).mean() > 0.999


def test_what_lies_is_as_thick_as_its_breadth_says_and_touches_the_ground() -> None:
    canvas = (400, 400)
    matte = np.zeros(canvas, np.float32)
    matte[180:220, 100:300] = 1  # a stick, 40 by 200
    camera = solve_camera(canvas, (180, 100, 40, 200), FRAMING, 56.0, True)
    body = BodyShape(depth=0.5, round=True, lies=True)
    top, bottom, _ = build_card(np.full((*canvas, 3), 200, np.uint8), matte, camera, body)
    thick = 0.5 * 40 / 160  # 160 pixels are 1
    assert top.mesh.vertices[:, 2].max() == pytest.approx(thick, rel=0.1)
    assert bottom.mesh.vertices[:, 2].min() == pytest.approx(0, abs=0.01)
    edge = np.abs(top.mesh.vertices[:, 0]) > 0.621
    assert top.mesh.vertices[edge, 2] == pytest.approx(thick / 2, abs=0.025)  # its rim is half way up


def test_a_relief_lays_a_keyboard_before_its_screen_and_above_the_ground() -> None:
    canvas = (400, 400)
    matte = np.zeros(canvas, np.float32)
    matte[100:300, 100:300] = 1
    camera = solve_camera(canvas, (100, 100, 200, 200), FRAMING, 14.0)
    front = ((0.3,) * 4, *[(0.6,) * 4] * 7)
    body = BodyShape(round=False, front=front, back=((0.02,) * 4,) * 8)
    points = build_card(np.full((*canvas, 3), 200, np.uint8), matte, camera, body)[0].mesh.vertices
    assert points[points[:, 2] > 0.5][:, 1] == pytest.approx(0.6, abs=0.03)  # the screen
    assert points[:, 2].min() >= 0
    assert points[:, 1].min() == pytest.approx(0, abs=0.03)
