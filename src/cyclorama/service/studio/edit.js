// Where does the product stand on a finished image, how large, and how dark is its shadow?  What is seen while it
// is moved is put together here, what is kept by the server.

import { get, loadBitmap, recompose } from "./api.js";
import { button, fill, h, icon, segments } from "./dom.js";
import { Editor } from "./editor.js";
import { GUIDES, drawGuides, snap } from "./guides.js";
import { formatNumber, t } from "./words.js";
import { Zoom, trackPointers } from "./zoom.js";

const LONGEST = 1600;
const MOVED = 0.03;
const HANDLE = 22;
const settings = { guides: "none", snaps: true };
const clamp = (value, least, most) => Math.min(Math.max(least, most), Math.max(least, value));

/** Open the editor on a finished image; `keep(image)` gets the new one, `sample(box)` asks for a ground made anew. */
export const openEditor = (image, keep, sample) => new PlaceEditor(image, keep, sample);

class PlaceEditor extends Editor {
  constructor(image, keep, sample) {
    const stage = h("canvas", { class: "stage moves", tabindex: "0", "aria-label": t("edit.canvas") });
    super(t("edit.title", { name: image.name }), h("div", { class: "stage-frame" }, stage), "edit.leave", () => this.zoom.observer.disconnect());
    Object.assign(this, { image, keep, sample, stage, lines: [], steps: [], at: -1 });
    this.zoom = new Zoom(stage.parentNode, () => this.draw());
    this.drawControls();
    this.load().catch((error) => this.fail(error));
  }

  fail(error) {
    this.problem = error.message || t("offline");
    this.drawControls();
  }

  async load() {
    const base = `/v1/images/${this.image.id}/parts`;
    const parts = await get(base);
    const less = Math.min(1, LONGEST / Math.max(parts.width, parts.height));
    const size = [parts.width, parts.height].map((side) => Math.round(side * less));
    const bitmaps = await Promise.all(parts.parts.map((part) => loadBitmap(`${base}/${part}`, ...size)));
    this.bitmaps = Object.fromEntries(parts.parts.map((part, k) => [part, bitmaps[k]]));
    this.parts = parts;
    this.place = { left: parts.box.left, top: parts.box.top, scale: parts.scale, shadow: parts.shadow };
    this.remember();
    this.zoom.setSize(parts.width, parts.height);
    const move = { element: this.stage, zoom: (factor) => this.scaleBy(factor), pan: (dx, dy) => this.moveBy(dx / this.zoom.scale, dy / this.zoom.scale) };
    trackPointers(move, {
      pans: (event) => event.button > 0 || event.altKey,
      start: (event) => this.grab(event),
      move: (event, drawing) => this.drag(event, drawing),
      end: () => this.drop(),
      cancel: () => this.drop(),
    });
    this.drawControls();
    this.stage.focus();
  }

  /** The product's box at a scale: as it is, or as the server would round it. */
  measure(scale = this.place.scale) {
    const { parts } = this;
    const of = (side) => (scale === parts.scale ? parts.box[side] : Math.max(1, Math.round(parts.photo_box[side] * scale)));
    return { width: of("width"), height: of("height") };
  }

  get box() {
    return { left: this.place.left, top: this.place.top, ...this.measure() };
  }

  get most() {
    const { photo_box: photo, width, height } = this.parts;
    return Math.min(width / photo.width, height / photo.height);
  }

  get changed() {
    return Boolean(this.parts) && JSON.stringify(this.place) !== JSON.stringify(this.steps[0]);
  }

  /** How far a corner of the product has left the place that ground and light were made for. */
  get moved() {
    const { lit_box: lit, width, height } = this.parts;
    const { box } = this;
    const off = (start, size, side) => Math.max(Math.abs(box[start] - lit[start]), Math.abs(box[start] + box[size] - lit[start] - lit[size])) / side;
    return Math.max(off("left", "width", width), off("top", "height", height)) > MOVED;
  }

  set(values) {
    this.place = { ...this.place, ...values };
    const { width, height } = this.measure();
    this.place.left = Math.round(clamp(this.place.left, 0, this.parts.width - width));
    this.place.top = Math.round(clamp(this.place.top, 0, this.parts.height - height));
    this.draw();
    this.drawControls();
  }

  moveBy(dx, dy) {
    this.free = { left: (this.free ?? this.place).left + dx, top: (this.free ?? this.place).top + dy };
    this.set(this.free);
  }

  /** Scale round the middle of the product's foot, which stays where it stands. */
  scaleTo(scale) {
    const before = this.box;
    const wanted = clamp(scale, 0.02, Math.floor(this.most * 1e4) / 1e4);
    const { width, height } = this.measure(wanted);
    this.set({ scale: wanted, left: before.left + (before.width - width) / 2, top: before.top + before.height - height });
  }

  scaleBy(factor) {
    this.scaleTo(this.place.scale * factor);
  }

  remember() {
    if (JSON.stringify(this.place) === JSON.stringify(this.steps[this.at])) return;
    this.steps = [...this.steps.slice(0, this.at + 1), this.place];
    this.at += 1;
  }

  canGo(step) {
    return Boolean(this.steps[this.at + step]);
  }

  go(step) {
    this.at += step;
    this.set(this.steps[this.at]);
  }

  /** Which of the handles at the upper corners, or the product, is under an event. */
  find(event) {
    const [x, y] = this.zoom.locate(event);
    const { left, top, width, height } = this.box;
    const near = HANDLE / this.zoom.scale;
    if (Math.abs(y - top) < near && (Math.abs(x - left) < near || Math.abs(x - left - width) < near)) return "scale";
    return x > left - near && x < left + width + near && y > top - near && y < top + height + near ? "move" : null;
  }

  grab(event) {
    const [x, y] = this.zoom.locate(event);
    this.held = { what: this.find(event), x, y, start: this.place, box: this.box };
  }

  drag(event, drawing) {
    if (!drawing || !this.held?.what) {
      this.stage.style.cursor = { move: "move", scale: "nesw-resize" }[this.find(event)] ?? "default";
      return;
    }
    const { what, x, y, start, box } = this.held;
    const [now, down] = this.zoom.locate(event);
    if (what === "scale") {
      const foot = [box.left + box.width / 2, box.top + box.height];
      return this.scaleTo((start.scale * Math.hypot(now - foot[0], down - foot[1])) / Math.max(1, Math.hypot(x - foot[0], y - foot[1])));
    }
    const wanted = { ...this.box, left: start.left + now - x, top: start.top + down - y };
    const found = settings.snaps && !event.ctrlKey ? snap(wanted, this.parts, 8 / this.zoom.scale) : { ...wanted, lines: [] };
    this.lines = found.lines;
    this.set({ left: found.left, top: found.top });
  }

  drop() {
    Object.assign(this, { held: null, free: null, lines: [] });
    this.remember();
    this.draw();
    this.drawControls();
  }

  press(event, key, arrow) {
    if (!this.parts || event.target.type === "range") return false;
    if (arrow) {
      const by = event.shiftKey ? Math.round(Math.max(this.parts.width, this.parts.height) / 100) : 1;
      this.set({ left: this.place.left + arrow[0] * by, top: this.place.top + arrow[1] * by });
    } else if ("+=-".includes(key)) this.scaleBy(key === "-" ? 0.99 : 1 / 0.99);
    else return false;
    this.remember();
    this.drawControls();
  }

  /** Ask the server for the image as it stands here. */
  async save() {
    const { parts, place } = this;
    this.working = true;
    this.drawControls();
    try {
      const image = await recompose(this.image.id, { left: place.left, top: place.top, shadow: place.shadow, scale: place.scale === parts.scale ? null : place.scale });
      this.dialog.close();
      await this.keep(image);
    } catch (error) {
      this.fail(error);
    }
    this.working = false;
    this.drawControls();
  }

  draw() {
    if (!this.parts || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const { stage, zoom, bitmaps, parts, place, box } = this;
    const ratio = devicePixelRatio;
    const [wide, tall] = [zoom.element.clientWidth * ratio, zoom.element.clientHeight * ratio].map(Math.round);
    if (stage.width !== wide || stage.height !== tall) [stage.width, stage.height] = [wide, tall];
    const context = stage.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, tall);
    context.setTransform(ratio * zoom.scale, 0, 0, ratio * zoom.scale, zoom.x * ratio, zoom.y * ratio);
    context.save();
    context.beginPath();
    context.rect(0, 0, parts.width, parts.height);
    context.clip();
    /** A part with the box `from` at the product's box. */
    const put = (part, from, kind = "source-over", alpha = 1) => {
      if (!bitmaps[part] || alpha <= 0) return;
      const [across, down] = [box.width / from.width, box.height / from.height];
      [context.globalCompositeOperation, context.globalAlpha] = [kind, alpha];
      context.drawImage(bitmaps[part], box.left - from.left * across, box.top - from.top * down, parts.width * across, parts.height * down);
    };
    const { lit_box: lit } = parts;
    const lasts = place.shadow === parts.lit_shadow && ["left", "top", "width", "height"].every((side) => box[side] === lit[side]);
    context.drawImage(bitmaps[lasts ? "lit" : "empty"], 0, 0, parts.width, parts.height);
    if (!lasts) {
      put("shadow", lit, "multiply", Math.min(1, place.shadow));
      put("shadow", lit, "multiply", place.shadow - 1);
      put("light", lit, "lighter");
    }
    put("product", lit);
    context.restore();
    const line = 1 / zoom.scale;
    drawGuides(context, parts, settings.guides, line, this.lines);
    if (this.held) return;
    for (const [colour, width] of [["rgb(255 255 255 / 90%)", 3], ["rgb(20 20 20 / 90%)", 1.25]]) {
      [context.strokeStyle, context.lineWidth] = [colour, width * line];
      context.strokeRect(box.left, box.top, box.width, box.height);
      for (const x of [box.left, box.left + box.width]) {
        context.beginPath();
        context.arc(x, box.top, 7 * line, 0, 2 * Math.PI);
        if (width > 2) context.stroke();
        context.fillStyle = "#fff";
        context.fill();
        context.stroke();
      }
    }
  }

  drawControls() {
    const { parts, place } = this;
    this.drawTop(this.image.name, { text: t("edit.save"), disabled: !this.changed || this.working, onclick: () => this.save() });
    if (!parts) return fill(this.tools, this.problem ? h("p", { class: "problem", role: "alert" }, this.problem) : h("p", { class: "soft", role: "status" }, t("edit.preparing")));
    const field = (name, value, most, take) => h("label", { class: "field" }, h("span", {}, t(`edit.${name}`)),
      h("input", { class: "input", type: "number", min: 0, max: most, value, onchange: (event) => {
        take(Number(event.target.value));
        this.remember();
        this.drawControls();
      } }));
    const slider = (name, value, least, most, take) => h("label", { class: "slider" }, h("span", {}, t(`edit.${name}`), h("output", {}, `${formatNumber(100 * value, 0)} %`)),
      h("input", { type: "range", min: least, max: most, step: "any", value, "aria-valuetext": `${formatNumber(100 * value, 0)} %`,
        oninput: (event) => take(Number(event.target.value)), onchange: () => this.drop() }));
    const { width, height } = this.measure();
    const align = (name, values) => button({ icon: name, label: t(`edit.${name}`), kind: "quiet", onclick: () => {
      this.set(values);
      this.drop();
    } });
    fill(this.tools,
      h("div", { class: "sliders" },
        slider("size", place.scale, 0.02, this.most, (scale) => this.scaleTo(scale)),
        slider("shadow", place.shadow, 0, 2, (shadow) => this.set({ shadow }))),
      h("div", { class: "own-size wide-only" }, field("left", place.left, parts.width - width, (left) => this.set({ left })), field("top", place.top, parts.height - height, (top) => this.set({ top }))),
      h("div", { class: "row", role: "group", "aria-label": t("edit.align") },
        align("left-edge", { left: 0 }), align("centre", { left: (parts.width - width) / 2 }), align("right-edge", { left: parts.width }),
        align("ground", { top: parts.lit_box.top + parts.lit_box.height - height })),
      segments(t("edit.guides"), GUIDES.map((name) => [name, t(`edit.guides.${name}`)]), settings.guides, (guides) => {
        settings.guides = guides;
        this.draw();
        this.drawControls();
      }),
      h("label", { class: "check" }, h("input", { type: "checkbox", checked: settings.snaps, onchange: (event) => (settings.snaps = event.target.checked) }), h("span", {}, t("edit.snaps"))),
      h("div", { role: "status" }, this.problem && h("p", { class: "problem" }, this.problem),
        this.moved && h("div", { class: "notice" }, h("p", {}, icon("warning"), h("span", {}, t("edit.moved"))),
          button({ text: t("edit.sample"), icon: "retry", kind: "small", onclick: () => {
            this.dialog.close();
            this.sample(this.box, place.scale);
          } }))),
      h("p", { class: "soft small-text wide-only" }, t("edit.keys")));
  }
}
