// How are two images compared: side by side with one zoom, by a slider, or by a blink?

import { fill, h } from "./dom.js";
import { t } from "./words.js";
import { Zoom, trackPointers } from "./zoom.js";

export const MODES = ["one", "side", "slider"];

/** Shows one or two images, each {address, label, width, height}, in `frame`, by one zoom. */
export class Stage {
  mode = "one";
  cut = 0.5;
  blinking = false;

  constructor(frame) {
    this.frame = frame;
    this.panes = h("div", { class: "panes" });
    frame.append(this.panes);
    this.zoom = new Zoom(this.panes, () => this.place());
    Object.defineProperty(this.zoom, "element", { get: () => this.panes.querySelector(".pane") ?? this.panes });
    trackPointers({ element: this.panes, zoom: (...v) => this.zoom.zoom(...v), pan: (...v) => this.zoom.pan(...v) }, {
      pans: (event) => !(this.mode === "slider" && event.button === 0 && !event.altKey),
      start: (event) => this.slide(event),
      move: (event, drawing) => drawing && this.slide(event),
      end: () => {},
      cancel: () => {},
    });
  }

  /** Show `one`, and `other` beside, over or, while blinking, in place of it. */
  show(one, other) {
    const fresh = !this.one || this.one.width !== one.width || this.one.height !== one.height || this.shown !== this.mode;
    [this.one, this.other, this.shown] = [one, other, this.mode];
    this.draw();
    if (fresh) this.zoom.setSize(one.width, one.height);
    else this.place();
  }

  draw() {
    const { one, other, mode } = this;
    const pane = (content, ...more) => h("div", { class: "pane", key: content.key }, more);
    const layer = (image, kind) => image && h("img", { class: `shown ${kind}`, key: image.address, src: image.address, alt: image.label, draggable: "false", onload: () => this.place() });
    const name = (image) => h("span", { class: "pane-name" }, image.label);
    const content =
      mode === "side" && other ? [pane({ key: "a" }, layer(one, ""), name(one)), pane({ key: "b" }, layer(other, ""), name(other))]
      : mode === "slider" && other ? [pane({ key: "a" }, layer(one, ""), layer(other, "over"), h("span", { class: "handle", "aria-hidden": "true" }), name(one), h("span", { class: "pane-name right" }, other.label))]
      : [pane({ key: "a" }, this.blinking && other ? [layer(other, ""), name(other)] : layer(one, ""))];
    fill(this.panes, content);
    this.panes.className = `panes ${mode === "side" && other ? "two" : "single"}`;
  }

  /** While `on`, the other image stands in the place of the one. */
  blink(on) {
    if (on === this.blinking || !this.other) return;
    const [one, other] = [this.one, this.other];
    this.blinking = on;
    if (this.mode === "one") this.draw();
    else [this.one, this.other] = [other, one], this.draw();
    this.place();
  }

  slide(event) {
    const { left, width } = this.panes.getBoundingClientRect();
    this.setCut((event.clientX - left) / width);
  }

  setCut(cut) {
    this.cut = Math.min(1, Math.max(0, cut));
    this.place();
  }

  place() {
    const { zoom } = this;
    if (!zoom.width) return;
    for (const shown of this.panes.querySelectorAll(".shown")) {
      const [w, h2] = [zoom.width * zoom.scale, zoom.height * zoom.scale];
      const natural = shown.naturalWidth ? shown.naturalWidth / shown.naturalHeight : w / h2;
      const width = Math.min(w, h2 * natural);
      const style = { width: `${width}px`, height: `${width / natural}px`,
        transform: `translate(${zoom.x + (w - width) / 2}px, ${zoom.y + (h2 - width / natural) / 2}px)` };
      for (const [name, value] of Object.entries(style)) shown.style.setProperty(name, value);
      if (!shown.classList.contains("over")) continue;
      const at = this.cut * this.panes.clientWidth - zoom.x - (w - width) / 2;
      shown.style.setProperty("clip-path", `inset(0 0 0 ${Math.min(width, Math.max(0, at))}px)`);
    }
    this.panes.querySelector(".handle")?.style.setProperty("left", `${100 * this.cut}%`);
  }

  close() {
    this.zoom.observer.disconnect();
  }
}

/** The slider's place as a field for keys. */
export const drawCut = (stage) => h("input", { class: "cut", type: "range", min: 0, max: 1, step: 0.01, value: stage.cut, "aria-label": t("compare.cut"), oninput: (event) => stage.setCut(Number(event.target.value)) });
