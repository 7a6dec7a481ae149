// Where may a box on a canvas go?  Boxes are left, top, right, bottom in shares of the canvas.

const LEAST = 0.02;
const MARGIN = 0.05;
const clamp = (value, least, most) => Math.min(Math.max(least, value), most);
const round = (value) => Math.round(value * 1e5) / 1e5;

/** `box` moved, and kept on the canvas. */
export function shift([left, top, right, bottom], dx, dy) {
  const x = clamp(dx, -left, 1 - right);
  const y = clamp(dy, -top, 1 - bottom);
  return [left + x, top + y, right + x, bottom + y].map(round);
}

/** `box` with a corner (nw, ne, sw, se) moved. */
export const pull = ([left, top, right, bottom], corner, dx, dy) => [
  corner.includes("w") ? clamp(left + dx, 0, right - LEAST) : left,
  corner.includes("n") ? clamp(top + dy, 0, bottom - LEAST) : top,
  corner.includes("e") ? clamp(right + dx, left + LEAST, 1) : right,
  corner.includes("s") ? clamp(bottom + dy, top + LEAST, 1) : bottom,
].map(round);

/**
 * `box` moved to the nearest lines within `reach` pixels of a canvas shown at `width` × `height`: its middle and margins,
 * edges and middles of `others`. `lines`: those that it keeps to, {left} or {top}.
 */
export function align(box, others, { width, height }, reach) {
  const find = (axis, side) => {
    const margin = (MARGIN * Math.min(width, height)) / side;
    const own = [box[axis], box[axis + 2], (box[axis] + box[axis + 2]) / 2];
    const lines = [0.5, margin, 1 - margin, ...others.flatMap((one) => [one[axis], one[axis + 2], (one[axis] + one[axis + 2]) / 2])];
    return lines.flatMap((line) => own.map((at) => ({ line, by: line - at }))).filter(({ by }) => Math.abs(by) * side < reach)
      .sort((a, b) => Math.abs(a.by) - Math.abs(b.by))[0];
  };
  const [across, down] = [find(0, width), find(1, height)];
  return { box: shift(box, across?.by ?? 0, down?.by ?? 0), lines: [across && { left: across.line }, down && { top: down.line }].filter(Boolean) };
}
