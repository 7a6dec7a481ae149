// How is a matte drawn over its image: on checks, white, black, with red over what is left out, or alone?

import { h } from "./dom.js";

export const VIEWS = ["checks", "white", "black", "red", "alpha"];
const SQUARE = 12;

/** Draws `image` (a bitmap of the matte's size) with `matte`. */
export class MaskView {
  constructor(canvas, image, matte) {
    [this.canvas, this.image, this.matte] = [canvas, image, matte];
    this.alpha = layer(matte);
    this.cut = layer(matte);
    this.overlay = layer(matte);
    this.update({ left: 0, top: 0, right: matte.width, bottom: matte.height });
  }

  /** Bring the layers up to the matte inside `box`. */
  update(box) {
    const [width, height] = [box.right - box.left, box.bottom - box.top];
    if (width < 1 || height < 1) return;
    const pixels = new ImageData(width, height);
    const red = getComputedStyle(this.canvas).getPropertyValue("--overlay").match(/\d+/g) ?? [220, 30, 40];
    const veil = new ImageData(width, height);
    for (let y = 0, at = 0; y < height; y++)
      for (let x = 0; x < width; x++, at += 4) {
        const value = this.matte.values[(y + box.top) * this.matte.width + x + box.left];
        pixels.data.fill(255, at, at + 3);
        pixels.data[at + 3] = value;
        for (let c = 0; c < 3; c++) veil.data[at + c] = Number(red[c]);
        veil.data[at + 3] = (255 - value) * 0.6;
      }
    this.alpha.putImageData(pixels, box.left, box.top);
    this.overlay.putImageData(veil, box.left, box.top);
    const cut = this.cut;
    cut.save();
    cut.beginPath();
    cut.rect(box.left, box.top, width, height);
    cut.clip();
    cut.clearRect(box.left, box.top, width, height);
    cut.drawImage(this.image, 0, 0);
    cut.globalCompositeOperation = "destination-in";
    cut.drawImage(this.alpha.canvas, 0, 0);
    cut.restore();
  }

  /**
   * Draw the part that `zoom` shows. `ghost`: how strongly the photo shows where it is cut away; `trace`: the
   * stroke in work, in pixels of the image; `cursor`: {x, y, radius, cross} in pixels of the element.
   */
  draw(zoom, view, { ghost = 0, trace = null, cursor = null } = {}) {
    const { canvas, matte } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(zoom.element.clientWidth * ratio), Math.round(zoom.element.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, zoom.x * ratio, zoom.y * ratio);
    const [w, h] = [(zoom.scale * matte.width) / matte.scale, (zoom.scale * matte.height) / matte.scale];
    context.fillStyle = { white: "#fff", black: "#000", alpha: "#000" }[view] ?? checks(context);
    context.fillRect(0, 0, w, h);
    context.imageSmoothingEnabled = zoom.scale / matte.scale < 4;
    const put = (source, opacity = 1) => {
      context.globalAlpha = opacity;
      context.drawImage(source, 0, 0, w, h);
      context.globalAlpha = 1;
    };
    if (view === "alpha") put(this.alpha.canvas);
    else if (view === "red") {
      put(this.image);
      put(this.overlay.canvas);
    } else {
      if (ghost) put(this.image, ghost);
      put(this.cut.canvas);
    }
    if (trace) drawTrace(context, trace, zoom.scale);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (cursor) drawCursor(context, cursor);
  }
}

const layer = ({ width, height }) => new OffscreenCanvas(width, height).getContext("2d");

let tile;
function checks(context) {
  if (!tile) {
    tile = h("canvas", { width: 2 * SQUARE, height: 2 * SQUARE });
    const inner = tile.getContext("2d");
    inner.fillStyle = "#b9b9b9";
    inner.fillRect(0, 0, 2 * SQUARE, 2 * SQUARE);
    inner.fillStyle = "#a3a3a3";
    inner.fillRect(0, 0, SQUARE, SQUARE);
    inner.fillRect(SQUARE, SQUARE, SQUARE, SQUARE);
  }
  return context.createPattern(tile, "repeat");
}

function drawTrace(context, stroke, scale) {
  context.beginPath();
  for (const [x, y] of stroke.points) context.lineTo(x * scale, y * scale);
  context.lineJoin = context.lineCap = "round";
  if (stroke.tool === "refine") {
    context.strokeStyle = "rgb(60 130 255 / 45%)";
    context.lineWidth = 2 * stroke.radius * scale;
    if (stroke.points.length === 1) context.lineTo(stroke.points[0][0] * scale + 0.1, stroke.points[0][1] * scale);
    context.stroke();
    return;
  }
  context.fillStyle = "rgb(60 130 255 / 20%)";
  context.fill();
  for (const [colour, wide] of [["#fff", 3], ["#111", 1]]) {
    [context.strokeStyle, context.lineWidth] = [colour, wide];
    context.stroke();
  }
}

function drawCursor(context, { x, y, radius, cross }) {
  for (const [colour, wide] of [["rgb(255 255 255 / 90%)", 3], ["rgb(0 0 0 / 90%)", 1.25]]) {
    [context.strokeStyle, context.lineWidth] = [colour, wide];
    context.beginPath();
    if (radius) context.arc(x, y, Math.max(1.5, radius), 0, 2 * Math.PI);
    if (cross || !radius)
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 3 * dx, y + 3 * dy);
        context.lineTo(x + 12 * dx, y + 12 * dy);
      }
    context.stroke();
  }
}
