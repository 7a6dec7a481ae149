// How does a designer mend a cut-out?  By strokes, which the server draws on the full-size matte.

import { assetFile, cutOut, loadBitmap } from "./api.js";
import { button, fill, h, icon, segments } from "./dom.js";
import { Editor } from "./editor.js";
import { MaskView, VIEWS } from "./maskview.js";
import { Drawing, StrokeHistory, buildMatte, isLasso, takesAway } from "./strokes.js";
import { formatNumber, t } from "./words.js";
import { Zoom, trackPointers } from "./zoom.js";

const LONGEST = 1600;
const TOOLS = [["add", "brush", "A"], ["erase", "erase", "E"], ["lasso", "lasso", "L"], ["carve", "carve", "C"], ["refine", "refine", "R"]];
const OTHER = { add: "erase", lasso: "carve", carve: "lasso" };
const MOST_POINTS = 4096;
const settings = { tool: "erase", radius: 0.08, hardness: 0.8, view: "checks" };

/**
 * Open the editor on `product`; `keep(cutout, strokes)` gets what is saved. Without a cut-out, because nothing was
 * found, it begins with an empty one.
 */
export function openMaskEditor(product, keep) {
  if (!product.cutout) Object.assign(settings, { tool: "lasso", view: "red" });
  const editor = new MaskEditor(product, keep);
  editor.begin();
  return editor;
}

class MaskEditor extends Editor {
  constructor(product, keep) {
    const stage = h("canvas", { class: "stage", tabindex: "0", "aria-label": t("mask.canvas"), "aria-describedby": "mask-keys" });
    super(t("mask.title", { name: product.name }), h("div", { class: "stage-frame" }, stage), "mask.leave", () => this.close());
    Object.assign(this, { product, keep, stage, stroke: null, cross: null, cursor: null, asked: 0 });
    this.dialog.append(h("p", { id: "mask-keys", class: "hidden" }, t("mask.keys")));
    this.zoom = new Zoom(stage.parentNode, () => this.draw());
  }

  async begin() {
    this.drawControls();
    try {
      await this.load();
    } catch (error) {
      this.problem = error.message || t("offline");
      return this.drawControls();
    }
    this.dialog.addEventListener("keyup", (event) => event.key === " " && this.cross && this.end());
    trackPointers(this.zoomTarget(), {
      pans: (event) => event.button > 0 || event.altKey,
      start: (event) => this.startStroke(this.zoom.locate(event), event),
      move: (event, drawing) => this.move(event, drawing),
      end: () => this.end(),
      cancel: () => this.cancel(),
    });
    this.stage.addEventListener("pointerleave", () => this.point(null));
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    this.stage.focus();
  }

  zoomTarget() {
    const { zoom, stage } = this;
    return Object.assign(Object.create(zoom), {
      element: stage, zoom: (...values) => zoom.zoom(...values), pan: (...values) => zoom.pan(...values),
    });
  }

  async load() {
    const { asset, base, strokes, width: w, height: h2 } = this.product;
    const cutout = this.product.cutout ?? { width: w, height: h2, warnings: [], share: 0 };
    const scale = Math.min(1, LONGEST / Math.max(cutout.width, cutout.height));
    const [width, height] = [Math.round(cutout.width * scale), Math.round(cutout.height * scale)];
    const [image, matte] = await Promise.all([loadBitmap(assetFile(asset), width, height), this.readMatte(base, width, height)]);
    this.matte = { ...buildMatte(width, height, scale), values: matte };
    this.history = new StrokeHistory(this.matte, strokes);
    if (strokes.length) this.history.keep(strokes.length, await this.readMatte(cutout.matte, width, height));
    this.history.show(strokes.length);
    this.cutout = cutout;
    this.view = new MaskView(this.stage, image, this.matte);
    this.zoom.setSize(cutout.width, cutout.height);
    this.drawControls();
  }

  async readMatte(id, width, height) {
    if (!id) return new Uint8ClampedArray(width * height);
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(await loadBitmap(assetFile(id), width, height), 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return Uint8ClampedArray.from({ length: width * height }, (_, i) => data[4 * i]);
  }

  close() {
    this.zoom.observer.disconnect();
    this.asked += 1;
  }

  /** Radius of the brush in pixels of the image. */
  get radius() {
    return Math.max(0.5, settings.radius * settings.radius * 4 * Math.max(this.cutout.width, this.cutout.height));
  }

  startStroke(place, event) {
    if (event?.pointerType) this.cross = null;
    this.stroke = { tool: settings.tool, radius: round(this.radius), hardness: settings.hardness, points: [place.map(round)] };
    this.drawing = new Drawing(this.matte, this.stroke);
    this.paint();
  }

  move(event, drawing) {
    const { left, top } = this.stage.getBoundingClientRect();
    if (event.pointerType !== "touch") this.point({ x: event.clientX - left, y: event.clientY - top });
    if (drawing && this.stroke)
      for (const one of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) this.extend(this.zoom.locate(one));
  }

  extend(place) {
    const { points } = this.stroke;
    const [x, y] = points.at(-1);
    if (Math.hypot(place[0] - x, place[1] - y) * this.zoom.scale < 1.5) return;
    if (points.length === MOST_POINTS) {
      this.end();
      this.startStroke([x, y]);
      return this.extend(place);
    }
    points.push(place.map(round));
    this.paint();
  }

  paint() {
    const box = this.drawing.draw();
    if (box) this.view.update(box);
    this.draw();
  }

  end() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    const box = this.drawing.finish();
    if (box) this.view.update(box);
    if (isLasso(stroke.tool) && !box) return this.draw();
    this.history.push(stroke);
    this.ask();
    this.draw();
    this.drawControls();
  }

  /** Take back the stroke in work: a second finger came. */
  cancel() {
    this.stroke = null;
    this.go(0);
  }

  get changed() {
    return Boolean(this.history) && this.history.count !== this.product.strokes.length;
  }

  canGo(step) {
    return Boolean(this.history) && (step > 0 ? this.history.canRedo : this.history.canUndo);
  }

  go(step) {
    this.history.show(this.history.count + step);
    this.view.update(whole(this.matte));
    this.ask();
    this.draw();
    this.drawControls();
  }

  /** Let the server draw the strokes, and show its matte if they are still the same. */
  async ask() {
    const turn = ++this.asked;
    this.working = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
    if (turn !== this.asked) return;
    const strokes = this.history.drawn;
    try {
      const cutout = strokes.length || this.product.base ? await cutOut(this.product.asset, strokes) : { ...this.cutout, matte: null, share: 0 };
      const values = await this.readMatte(cutout.matte, this.matte.width, this.matte.height);
      if (turn !== this.asked) return;
      this.cutout = cutout;
      this.history.keep(strokes.length, values);
      if (!this.stroke) this.matte.values.set(values);
      this.problem = "";
    } catch (error) {
      if (turn !== this.asked) return;
      this.problem = error.message || t("offline");
    }
    this.working = false;
    this.view.update(whole(this.matte));
    this.draw();
    this.drawControls();
    this.saved?.();
  }

  /** Keep the mended cut-out, once the server has drawn its last stroke. */
  async save() {
    if (this.working) await new Promise((resolve) => (this.saved = resolve));
    if (this.problem) return;
    this.keep(this.cutout.matte ? this.cutout : null, this.history.drawn);
    this.dialog.close();
  }

  point(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  draw() {
    if (!this.view || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const adds = !takesAway(settings.tool) && settings.tool !== "refine";
      const place = this.cross ? { x: this.zoom.x + this.cross[0] * this.zoom.scale, y: this.zoom.y + this.cross[1] * this.zoom.scale } : this.cursor;
      const radius = isLasso(settings.tool) ? 0 : this.radius * this.zoom.scale;
      this.view.draw(this.zoom, settings.view, {
        ghost: adds && ["checks", "white", "black"].includes(settings.view) ? 0.3 : 0,
        trace: this.stroke && (isLasso(this.stroke.tool) || this.stroke.tool === "refine") ? this.stroke : null,
        cursor: place && { ...place, radius, cross: Boolean(this.cross) },
      });
    });
  }

  set(values) {
    Object.assign(settings, values);
    this.drawControls();
    this.draw();
  }

  press(event, key, arrow) {
    if (!this.view) return false;
    const onStage = event.target === this.stage;
    const tool = TOOLS.find(([, , letter]) => letter.toLowerCase() === key);
    if (onStage && arrow) this.moveCross(arrow, event.shiftKey ? 40 : 8);
    else if (onStage && key === " ") this.pressSpace(event.repeat);
    else if (key === "[" || key === "]") this.set({ radius: clamp(settings.radius * (key === "[" ? 0.87 : 1.15), 0.01, 0.35) });
    else if (key === "x") this.set({ tool: OTHER[settings.tool] ?? "add" });
    else if (key === "v") this.set({ view: VIEWS[(VIEWS.indexOf(settings.view) + 1) % VIEWS.length] });
    else if (tool) this.set({ tool: tool[0] });
    else return this.zoom.key(event);
  }

  moveCross([dx, dy], step) {
    const [x, y] = this.cross ?? [this.cutout.width / 2, this.cutout.height / 2];
    const by = step / this.zoom.scale;
    this.cross = [clamp(x + dx * by, 0, this.cutout.width), clamp(y + dy * by, 0, this.cutout.height)];
    if (this.stroke) this.extend(this.cross);
    this.draw();
  }

  pressSpace(again) {
    if (again) return;
    this.cross ??= [this.cutout.width / 2, this.cutout.height / 2];
    this.startStroke(this.cross);
  }

  drawControls() {
    const { history } = this;
    this.drawTop(this.product.name, { text: t("mask.save"), disabled: !history, onclick: () => this.save() },
      button({ icon: "fit", label: `${t("zoom.fit")} (0)`, kind: "quiet wide-only", onclick: () => this.zoom.fit() }));
    if (this.problem && !history) return fill(this.tools, h("p", { class: "problem", role: "alert" }, this.problem));
    if (!history) return fill(this.tools, h("p", { class: "soft" }, t("loading")));
    const slider = (name, value, least, most, shown, set) =>
      h("label", { class: "slider" }, h("span", {}, t(`mask.${name}`), h("output", {}, shown)),
        h("input", { type: "range", min: least, max: most, step: "any", value, "aria-valuetext": shown, oninput: (event) => set(Number(event.target.value)) }));
    fill(this.tools,
      h("div", { class: "tools", role: "group", "aria-label": t("mask.tools") },
        TOOLS.map(([tool, name, key]) =>
          h("button", { type: "button", class: "tool", key: tool, "aria-pressed": String(settings.tool === tool), onclick: () => this.set({ tool }) },
            icon(name), h("span", {}, t(`mask.${tool}`)), h("kbd", {}, key)))),
      h("p", { class: "soft tool-hint" }, t(`mask.${settings.tool}.hint`)),
      h("div", { class: "sliders" },
        slider("radius", settings.radius, 0.01, 0.35, `${formatNumber(2 * this.radius, 0)} px`, (radius) => this.set({ radius })),
        slider("hardness", settings.hardness, 0, 1, `${formatNumber(100 * settings.hardness, 0)} %`, (hardness) => this.set({ hardness }))),
      segments(t("mask.view"), VIEWS.map((view) => [view, t(`mask.view.${view}`)]), settings.view, (view) => this.set({ view })),
      h("p", { class: "status", "aria-live": "polite" }, this.problem ? h("span", { class: "problem" }, this.problem)
        : (this.cutout.warnings.length ? this.cutout.warnings.join(" ") : this.working ? t("mask.working") : t("mask.share", { share: Math.round(100 * this.cutout.share) }))));
  }
}

const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
const round = (value) => Math.round(value * 10) / 10;
const whole = (matte) => ({ left: 0, top: 0, right: matte.width, bottom: matte.height });
