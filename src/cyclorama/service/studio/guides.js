// Which lines of a canvas does a product keep to?

export const GUIDES = ["none", "margin", "thirds", "safe"];
const MARGIN = 0.05;
const TALL = 1.6;
/** Shares of a tall canvas that stories and reels cover with their own words. */
const STORY = { top: 0.14, bottom: 0.2, side: 0.06 };
const WIDE = { top: 0.1, bottom: 0.1, side: 0.1 };

const getSafe = ({ width, height }) => (height / width > TALL ? STORY : WIDE);

/** The rectangle that is kept free of product round it, or of the channel's own words. */
function getFrame(canvas, guides) {
  const { width, height } = canvas;
  const margin = MARGIN * Math.min(width, height);
  if (guides !== "safe") return [margin, margin, width - margin, height - margin];
  const { top, bottom, side } = getSafe(canvas);
  return [side * width, top * height, (1 - side) * width, (1 - bottom) * height];
}

/**
 * `box` moved to the nearest lines within `reach` pixels: the canvas' middle and margins, and the place that ground
 * and light were made for. `lines`: those that it keeps to, {x} or {y}.
 */
export function snap(box, { width, height, lit_box: lit }, reach) {
  const margin = MARGIN * Math.min(width, height);
  const across = [[width / 2, box.width / 2], [margin, 0], [width - margin, box.width], [lit.left + lit.width / 2, box.width / 2]];
  const down = [[lit.top + lit.height, box.height], [height / 2, box.height / 2], [margin, 0], [height - margin, box.height]];
  const find = (start, places) => places.map(([line, own]) => ({ line, start: line - own, off: Math.abs(line - own - start) }))
    .filter(({ off }) => off < reach).sort((a, b) => a.off - b.off)[0];
  const [x, y] = [find(box.left, across), find(box.top, down)];
  return { ...box, left: x?.start ?? box.left, top: y?.start ?? box.top, lines: [x && { x: x.line }, y && { y: y.line }].filter(Boolean) };
}

/** Draw the guides, in pixels of the canvas; `line` is one pixel of the screen. */
export function drawGuides(context, canvas, guides, line, lines) {
  const { width, height } = canvas;
  const stroke = (paint) => {
    for (const [colour, wide] of [["rgb(0 0 0 / 45%)", 3], ["rgb(255 255 255 / 90%)", 1]]) {
      [context.strokeStyle, context.lineWidth] = [colour, wide * line];
      context.beginPath();
      paint();
      context.stroke();
    }
  };
  const rule = ({ x, y }) => {
    context.moveTo(x ?? 0, y ?? 0);
    context.lineTo(x ?? width, y ?? height);
  };
  if (guides === "thirds") stroke(() => [1, 2].forEach((k) => [{ x: (k * width) / 3 }, { y: (k * height) / 3 }].forEach(rule)));
  else if (guides !== "none") {
    const [left, top, right, bottom] = getFrame(canvas, guides);
    context.fillStyle = "rgb(0 0 0 / 28%)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(left, top, right - left, bottom - top);
    if (guides === "safe") context.fill("evenodd");
    stroke(() => context.rect(left, top, right - left, bottom - top));
  }
  [context.strokeStyle, context.lineWidth] = ["#ff2d87", 1.5 * line];
  context.beginPath();
  lines.forEach(rule);
  context.stroke();
}
