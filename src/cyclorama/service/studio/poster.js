// Where do a poster's words stand, and what do they say?  Moved and written here, drawn and judged by the server.

import { draftPoster, editPoster, imageFile, save } from "./api.js";
import { align, pull, shift } from "./boxes.js";
import { button, fill, h, icon, segments } from "./dom.js";
import { Editor } from "./editor.js";
import { decide, findImage } from "./jobs.js";
import { toast } from "./toast.js";
import { formatNumber, says, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01;
const SNAP = 6;
const CORNERS = ["nw", "ne", "sw", "se"];
const BOLD = ["headline", "price", "action"];
const KINDS = ["psd", "svg", "ora", "zip"];

/** A fault of a poster in a few words. */
export const tellFault = (name) => (says(`fault.${name}`) ? t(`fault.${name}`) : name);

/** Open the editor on a finished poster; `keep(image)` gets each new one and gives {job, image} of it. */
export const openPoster = ({ job, image }, nameLanguage, keep, leave) => new PosterEditor(job, image, nameLanguage, keep, leave);

const toAddress = (base64) => URL.createObjectURL(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/webp" }));

const draw = (name, attributes, ...children) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

class PosterEditor extends Editor {
  constructor(job, image, nameLanguage, keep, leave) {
    const sheet = h("div", { class: "poster", "data-own": true });
    const frame = h("div", { class: "stage-frame poster-frame", onpointerdown: (event) => event.target.closest(".textbox, .inline") || this.choose(null) }, sheet);
    super(t("poster.title", { name: image.name }), frame, "edit.leave", () => {
      this.watch.disconnect();
      this.addresses.forEach(URL.revokeObjectURL);
      leave();
    });
    Object.assign(this, { job, nameLanguage, keep, sheet, frame, addresses: [], chosen: null });
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(frame);
    this.begin(image);
  }

  /** Take up a finished poster; what is changed from here on is changed of it. */
  begin(image) {
    this.first = this.draft ? this.texts : null;
    Object.assign(this, { image, state: { texts: {}, boxes: {}, language: null }, at: 0, typed: null });
    this.steps = [this.state];
    this.ask();
    this.drawControls();
  }

  get changed() {
    return this.at > 0;
  }

  get boxes() {
    return { ...this.draft.boxes, ...this.state.boxes };
  }

  get texts() {
    const { language, texts } = this.state;
    return { ...(language ? this.job.request.poster.texts[language] : this.first), ...texts };
  }

  get language() {
    return this.state.language ?? this.image.poster.language;
  }

  /** Change something. What is not `kept` as a step of its own goes on with the last one. */
  set(values, kept = true) {
    this.state = { ...this.state, ...values };
    if (kept) {
      this.steps = [...this.steps.slice(0, this.at + 1), this.state];
      this.at += 1;
    } else this.steps[this.at] = this.state;
    this.ask();
    this.drawControls();
  }

  canGo(step) {
    return Boolean(this.steps[this.at + step]);
  }

  go(step) {
    this.at += step;
    this.state = this.steps[this.at];
    this.ask();
    this.drawControls();
  }

  get order() {
    const { texts, boxes, language } = this.state;
    return { texts, boxes, ...(language && { language }) };
  }

  /** Have the server draw it; one request at a time, the last state wins. */
  async ask() {
    this.stale = true;
    if (this.asking) return;
    this.asking = true;
    this.drawStatus();
    while (this.stale && this.dialog.isConnected) {
      this.stale = false;
      try {
        const draft = await draftPoster(this.image.id, this.order);
        if (this.stale) continue;
        await this.take(draft);
        this.problem = "";
      } catch (error) {
        if (!this.stale) this.problem = error.message || t("offline");
      }
    }
    this.asking = false;
    this.placeBoxes();
    this.drawControls();
  }

  /** Show what the server has drawn, once all of it is there, so that nothing flickers. */
  async take(draft) {
    const addresses = [];
    const address = (data) => {
      addresses.push(toAddress(data));
      return addresses.at(-1);
    };
    const lay = ({ left, top, width, height, image }) => draw("image", { x: left, y: top, width, height, href: address(image) });
    const group = (id, ...parts) => draw("g", { "data-id": id }, ...parts);
    const read = (outlines) => document.importNode(new DOMParser().parseFromString(outlines.replace("<g ", `<g xmlns="${SVG}" `), "image/svg+xml").documentElement, true);
    const svg = draw("svg", { viewBox: `0 0 ${draft.width} ${draft.height}`, "aria-hidden": "true" },
      draw("image", { width: draft.width, height: draft.height, href: address(draft.bare) }),
      ...draft.words.map(({ id, plate, outlines }) => group(id, ...(plate ? [lay(plate)] : []), read(outlines))),
      ...(draft.logo ? [group("logo", lay(draft.logo))] : []));
    await Promise.all(addresses.map((src) => Object.assign(new Image(), { src }).decode().catch(() => null)));
    this.addresses.forEach(URL.revokeObjectURL);
    Object.assign(this, { draft, addresses, first: this.first ?? draft.texts });
    this.sheet.querySelector("svg")?.remove();
    this.sheet.prepend(svg);
    this.resize();
    this.drawBoxes();
  }

  resize() {
    if (!this.draft) return;
    const { width, height } = this.draft;
    const scale = Math.min((this.frame.clientWidth - 32) / width, (this.frame.clientHeight - 32) / height);
    Object.assign(this.sheet.style, { width: `${width * scale}px`, height: `${height * scale}px` });
  }

  /** A box for each text and the logo, from the top. */
  drawBoxes() {
    const names = Object.keys(this.draft.boxes).sort((a, b) => this.draft.boxes[a][1] - this.draft.boxes[b][1]);
    for (const id of names) {
      const box = this.sheet.querySelector(`.textbox[data-id="${id}"]`) ?? this.sheet.appendChild(this.makeBox(id));
      box.setAttribute("aria-label", id === "logo" ? t("poster.logo") : t("poster.box", { role: t(`role.${id}`), words: this.texts[id] }));
      const words = this.draft.words.find((one) => one.id === id);
      box.classList.toggle("faulty", Boolean(words && words.contrast < words.limit));
    }
    this.placeBoxes();
  }

  makeBox(id) {
    return h("button", { type: "button", class: "textbox", "data-id": id, onfocus: () => this.choose(id), ondblclick: () => this.write(id),
      onpointerdown: (event) => this.grab(event, id), onpointermove: (event) => this.drag(event), onpointerup: (event) => this.drop(event), onpointercancel: (event) => this.drop(event) },
    CORNERS.map((corner) => h("span", { class: `corner-handle ${corner}`, "data-corner": corner })));
  }

  /** Bring boxes, and the words in them, to where they are now. */
  placeBoxes() {
    if (!this.draft) return;
    const { width, height } = this.draft;
    for (const box of this.sheet.querySelectorAll(".textbox")) {
      const { id } = box.dataset;
      const now = this.boxes[id];
      const was = this.draft.boxes[id];
      if (!now) continue;
      Object.assign(box.style, { left: `${100 * now[0]}%`, top: `${100 * now[1]}%`, width: `${100 * (now[2] - now[0])}%`, height: `${100 * (now[3] - now[1])}%` });
      box.classList.toggle("chosen", id === this.chosen);
      const group = this.sheet.querySelector(`svg [data-id="${id}"]`);
      const scale = Math.min((now[2] - now[0]) / (was[2] - was[0]), (now[3] - now[1]) / (was[3] - was[1]));
      const middle = (from, to) => [(from[0] + from[2]) / 2, (from[1] + from[3]) / 2, (to[0] + to[2]) / 2, (to[1] + to[3]) / 2];
      const [x, y, nx, ny] = middle(was, now);
      group?.setAttribute("transform", `translate(${nx * width} ${ny * height}) scale(${scale}) translate(${-x * width} ${-y * height})`);
    }
  }

  choose(id) {
    if (this.chosen === id) return;
    this.chosen = id;
    this.placeBoxes();
    this.drawControls();
  }

  grab(event, id) {
    if (event.button > 0 || this.writing) return;
    const { currentTarget: box } = event;
    box.setPointerCapture(event.pointerId);
    box.focus({ preventScroll: true });
    this.choose(id);
    this.held = { id, corner: event.target.dataset.corner, x: event.clientX, y: event.clientY, start: this.boxes[id], pointer: event.pointerId };
    event.preventDefault();
  }

  drag(event) {
    if (!this.held || event.pointerId !== this.held.pointer) return;
    const { id, corner, x, y, start } = this.held;
    const { width, height } = this.sheet.getBoundingClientRect();
    const [dx, dy] = [(event.clientX - x) / width, (event.clientY - y) / height];
    if (!this.held.moved && Math.hypot(event.clientX - x, event.clientY - y) < 3) return;
    this.held.moved = true;
    const box = corner ? pull(start, corner, dx, dy) : this.snap(id, shift(start, dx, dy), event.ctrlKey);
    this.state = { ...this.state, boxes: { ...this.state.boxes, [id]: box } };
    this.placeBoxes();
  }

  drop(event) {
    if (!this.held || event.pointerId !== this.held.pointer) return;
    const { moved, id, start } = this.held;
    this.held = null;
    this.drawLines([]);
    if (!moved) return;
    const box = this.state.boxes[id];
    this.state = this.steps[this.at];
    if (event.type === "pointercancel") return this.placeBoxes();
    if (String(box) !== String(start)) this.set({ boxes: { ...this.state.boxes, [id]: box } });
  }

  /** `box` where it is in line with the canvas or another box; shows those lines. */
  snap(id, box, free) {
    const others = Object.entries(this.boxes).filter(([name]) => name !== id).map(([, one]) => one);
    const found = align(box, others, this.sheet.getBoundingClientRect(), free ? 0 : SNAP);
    this.drawLines(found.lines);
    return found.box;
  }

  drawLines(lines) {
    this.sheet.querySelectorAll(".line").forEach((line) => line.remove());
    for (const { left, top } of lines)
      this.sheet.append(h("span", { class: `line ${left === undefined ? "across" : "down"}`, style: left === undefined ? { top: `${100 * top}%` } : { left: `${100 * left}%` } }));
  }

  /** Write a text where it stands. */
  write(id) {
    if (id === "logo" || this.writing) return;
    const [left, top, right, bottom] = this.boxes[id];
    const before = this.texts[id];
    const group = this.sheet.querySelector(`svg [data-id="${id}"] > g`);
    const { lines } = this.draft.words.find((one) => one.id === id);
    const place = { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
      color: group.getAttribute("fill"), "font-size": `${((bottom - top) * this.sheet.clientHeight) / lines / 1.3}px`, "font-weight": BOLD.includes(id) ? 700 : 400 };
    group.style.visibility = "hidden";
    const field = h("textarea", { class: "inline", dir: "auto", lang: this.language, "aria-label": t(`role.${id}`), value: before, maxlength: 1000, style: place });
    this.writing = field;
    let ended = false;
    const end = (kept) => {
      if (ended) return;
      ended = true;
      this.writing = null;
      const words = field.value.trim();
      const had = document.activeElement === field;
      field.remove();
      group.style.visibility = "";
      if (kept && words && words !== before) this.set({ texts: { ...this.state.texts, [id]: words } });
      if (had) this.sheet.querySelector(`.textbox[data-id="${id}"]`).focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) event.preventDefault();
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey && !event.isComposing)) end(event.key === "Enter");
      event.stopPropagation();
    });
    field.addEventListener("blur", () => end(true));
    this.sheet.append(field);
    field.focus();
    field.select();
  }

  /** Take in what is typed; all of it until the field is left is one step. */
  type(role, words) {
    if (!words) return;
    const goesOn = this.typed === role && this.changed;
    this.typed = role;
    this.set({ texts: { ...this.state.texts, [role]: words } }, !goesOn);
  }

  press(event, key, arrow) {
    const box = event.target.closest?.(".textbox");
    if (event.altKey) return false;
    if (box && arrow) {
      const { id } = box.dataset;
      const [dx, dy] = arrow.map((one) => one * STEP);
      const moved = event.shiftKey ? pull(this.boxes[id], "se", dx, dy) : shift(this.boxes[id], dx, dy);
      this.set({ boxes: { ...this.state.boxes, [id]: moved } }, !(event.repeat && this.at > 0));
      this.placeBoxes();
    } else if (box && key === "Enter") this.write(box.dataset.id);
    else if (key === "a" || key === "r") this.verdict(key === "a" ? "approved" : "rejected");
    else return false;
  }

  /** Keep the poster as it stands here, as a new one; says whether it is kept. */
  async save() {
    this.saving = true;
    this.drawControls();
    let kept = false;
    try {
      const found = await this.keep(await editPoster(this.image.id, this.order));
      this.job = found.job;
      this.begin(found.image);
      toast(t("poster.kept"));
      kept = true;
    } catch (error) {
      this.problem = error.message || t("offline");
    }
    this.saving = false;
    this.drawControls();
    return kept;
  }

  async takeAway(address) {
    if (!this.changed || (await this.save())) save(address(this.image.id));
  }

  async verdict(decision) {
    if (this.changed && !(await this.save())) return;
    const now = findImage(this.image.id).image;
    await decide([this.image.id], now.decision === decision ? "open" : decision);
    Object.assign(this.image, { decision: findImage(this.image.id).image.decision });
    this.drawControls();
  }

  /** What the checks say, in words. */
  listFaults() {
    const low = this.draft.words.filter(({ contrast, limit }) => contrast < limit)
      .map(({ id, contrast, limit }) => [id, t("poster.contrast", { role: t(`role.${id}`), value: formatNumber(contrast, 1), limit: formatNumber(limit, 1) })]);
    const other = Object.entries(this.draft.faults).filter(([name]) => name !== "unreadable" || !low.length).map(([name, why]) => [name, tellFault(name), why]);
    return [...low, ...other];
  }

  drawStatus() {
    const place = this.tools.querySelector(".poster-status");
    if (!place || !this.draft) return;
    const faults = this.listFaults();
    fill(place, this.problem ? h("p", { class: "problem", key: "problem" }, icon("warning"), h("span", {}, this.problem))
      : faults.length ? faults.map(([key, what, why]) => h("p", { class: "warn", key }, icon("warning"), h("span", {}, what, why && h("small", { class: "soft", lang: "en" }, why))))
        : h("p", { class: "good", key: "good" }, icon("approve"), h("span", {}, t("poster.good"))));
    place.classList.toggle("waiting", Boolean(this.asking));
  }

  drawControls() {
    const { draft, image, job } = this;
    this.drawTop(image.name, { text: t("poster.save"), disabled: !this.changed || this.saving || Boolean(this.problem), onclick: () => this.save() });
    if (!draft) return fill(this.tools, h("p", { class: this.problem ? "problem" : "soft", role: "status" }, this.problem || t("loading")));
    const codes = Object.keys(job.request.poster.texts);
    const roles = Object.keys(this.texts);
    const verdict = (name, decision) => button({ icon: name, text: [t(name), h("kbd", {}, name[0].toUpperCase())], kind: `verdict-button ${name}`,
      "aria-pressed": String(image.decision === decision), onclick: () => this.verdict(decision) });
    fill(this.tools,
      h("div", { class: "poster-status", role: "status", "data-own": true, key: "status" }),
      codes.length > 1 && segments(t("posters.languages"), codes.map((code) => [code, this.nameLanguage(code)]), this.language, (language) => this.set({ language: language === image.poster.language ? null : language, texts: {} })),
      h("div", { class: "poster-texts", key: "texts" }, roles.map((role) => {
        const words = draft.words.find(({ id }) => id === role);
        return h("label", { class: `field ${this.chosen === role ? "chosen" : ""}`, key: `${this.language}-${role}` }, h("span", {}, t(`role.${role}`), words && h("small", { class: words.contrast < words.limit ? "warn" : "soft", title: t("poster.contrast.title", { limit: formatNumber(words.limit, 1) }) }, t("poster.contrast.of", { value: formatNumber(words.contrast, 1) }))),
          h("textarea", { class: "input", rows: 1, dir: "auto", lang: this.language, maxlength: 1000, value: this.texts[role], onfocus: () => this.choose(role),
            oninput: (event) => this.type(role, event.target.value.trim()), onblur: () => (this.typed = null) }));
      })),
      h("p", { class: "soft small-text wide-only", key: "keys" }, t("poster.keys")),
      h("div", { class: "verdicts", key: "verdicts" }, verdict("approve", "approved"), verdict("reject", "rejected")),
      h("div", { class: "downloads", key: "downloads" },
        button({ text: t("download.image"), icon: "download", onclick: () => this.takeAway(imageFile) }),
        h("div", { class: "row" }, KINDS.map((kind) => button({ text: t(`download.${kind}`), kind: "small", onclick: () => this.takeAway((id) => `/v1/images/${id}/layers.${kind}`) })))));
    this.drawStatus();
  }
}
