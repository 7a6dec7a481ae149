// What does a stroke do to a matte?  The server draws the same on the full-size one.

/**
 * @typedef {{tool: "add"|"erase"|"lasso"|"carve"|"refine", radius: number, hardness: number, points: number[][]}} Stroke
 *   points and radius in pixels of the image; hardness 0 (soft) to 1
 * @typedef {{width: number, height: number, scale: number, values: Uint8ClampedArray}} Matte values 255 = product;
 *   `scale` is its pixels to one of the image
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box in pixels of the matte
 */

/** Whether a tool takes an area, and whether it takes away. */
export const isLasso = (tool) => tool === "lasso" || tool === "carve";
export const takesAway = (tool) => tool === "erase" || tool === "carve";

/** A matte of `values` all the same. */
export const buildMatte = (width, height, scale) => ({
  width, height, scale, values: new Uint8ClampedArray(width * height),
});

/** A stroke in work on a matte: where it passes twice it counts once. */
export class Drawing {
  constructor(matte, stroke) {
    [this.matte, this.stroke] = [matte, stroke];
    this.before = matte.values.slice();
    this.cover = new Uint8ClampedArray(matte.values.length);
    this.done = 0;
  }

  /** Draw what was added since. @returns {Box | null} what has changed; refining is the server's work */
  draw() {
    const { matte, stroke } = this;
    if (stroke.tool === "refine" || isLasso(stroke.tool)) return null;
    const points = stroke.points.map((point) => point.map((value) => value * matte.scale));
    let changed = null;
    if (!this.done && points.length === 1) changed = this.drawSegment(points[0], points[0]);
    for (let i = Math.max(1, this.done); i < points.length; i++)
      changed = join(changed, this.drawSegment(points[i - 1], points[i]));
    this.done = points.length;
    return changed;
  }

  /** Draw what only a whole stroke tells: the area in a lasso. */
  finish() {
    return isLasso(this.stroke.tool) ? this.fillArea() : this.draw();
  }

  drawSegment([x0, y0], [x1, y1]) {
    const { matte, stroke } = this;
    const radius = stroke.radius * matte.scale;
    const inner = Math.min(radius * stroke.hardness, radius - 0.5);
    const outer = Math.max(radius, inner + 1);
    const box = clip(matte, Math.min(x0, x1) - outer, Math.min(y0, y1) - outer, Math.max(x0, x1) + outer, Math.max(y0, y1) + outer);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length2 = dx * dx + dy * dy || 1;
    for (let y = box.top; y < box.bottom; y++)
      for (let x = box.left; x < box.right; x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length2));
        const distance = Math.hypot(px - along * dx, py - along * dy);
        if (distance < outer) this.put(y * matte.width + x, 255 * Math.min(1, (outer - distance) / (outer - inner)));
      }
    return box;
  }

  put(at, cover) {
    if (cover <= this.cover[at]) return;
    this.cover[at] = cover;
    const share = this.cover[at] / 255;
    const before = this.before[at];
    this.matte.values[at] = takesAway(this.stroke.tool) ? before * (1 - share) : before + (255 - before) * share;
  }

  fillArea() {
    const { matte } = this;
    const points = this.stroke.points.map((point) => point.map((value) => value * matte.scale));
    const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
    const box = clip(matte, Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1);
    const [width, height] = [box.right - box.left, box.bottom - box.top];
    if (points.length < 3 || width < 1 || height < 1) return null;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.translate(-box.left, -box.top);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.fill("evenodd");
    const { data } = context.getImageData(0, 0, width, height);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) this.put((y + box.top) * matte.width + x + box.left, data[4 * (y * width + x) + 3]);
    return box;
  }
}

const clip = (matte, left, top, right, bottom) => ({
  left: Math.max(0, Math.floor(left)),
  top: Math.max(0, Math.floor(top)),
  right: Math.min(matte.width, Math.ceil(right)),
  bottom: Math.min(matte.height, Math.ceil(bottom)),
});

/** The box round two, either of which may be null. */
function join(one, other) {
  if (!one || !other) return one ?? other;
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

const KEPT = 12;

/** Strokes that can be undone without end: all are kept, and mattes of some of their beginnings. */
export class StrokeHistory {
  /** @param {Matte} matte before any stroke @param {Stroke[]} strokes drawn earlier */
  constructor(matte, strokes = []) {
    this.matte = matte;
    this.strokes = [...strokes];
    this.count = strokes.length;
    this.kept = new Map([[0, matte.values.slice()]]);
  }

  /** The strokes that count now. */
  get drawn() {
    return this.strokes.slice(0, this.count);
  }

  get canUndo() {
    return this.count > 0;
  }

  get canRedo() {
    return this.count < this.strokes.length;
  }

  /** A finished stroke, already painted; what was undone before it is gone. */
  push(stroke) {
    this.strokes = [...this.drawn, stroke];
    for (const number of this.kept.keys()) if (number > this.count) this.kept.delete(number);
    this.count += 1;
    this.keep(this.count, this.matte.values.slice());
  }

  /** Go to the first `count` strokes and draw them from the nearest kept matte. */
  show(count) {
    this.count = Math.min(Math.max(0, count), this.strokes.length);
    const from = Math.max(...[...this.kept.keys()].filter((number) => number <= this.count));
    this.matte.values.set(this.kept.get(from));
    for (const stroke of this.strokes.slice(from, this.count)) new Drawing(this.matte, stroke).finish();
    this.keep(this.count, this.matte.values.slice());
  }

  /** The matte that the first `count` strokes give, by the page or, better, by the server. */
  keep(count, values) {
    this.kept.delete(count);
    this.kept.set(count, values);
    const old = [...this.kept.keys()].filter((number) => number > 0);
    if (old.length > KEPT) this.kept.delete(old[0]);
  }
}
