// One image as large as the screen: look, compare, decide, take away.

import { assetFile, assetThumbnail, imageFile, imageThumbnail, save } from "./api.js";
import { MODES, Stage, drawCut } from "./compare.js";
import { button, fill, h, icon, openDialog, segments, typing } from "./dom.js";
import { openEditor } from "./edit.js";
import { CHECKS, listChecks, tellGate, tellValue } from "./gate.js";
import { addAlike, addImages, decide, findImage, findLook, refresh, sampleAgain, useSettings } from "./jobs.js";
import { change, onRender, state } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { formatNumber, t } from "./words.js";

const LAYERS = ["psd", "ora", "zip"];
let open = null;

/** Look at the image `id` among `list()`; with `other`, compare the two. */
export function openViewer(id, list, other = null) {
  open = new Viewer(id, list, other);
}

onRender("images", () => open?.draw());

class Viewer {
  constructor(id, list, other) {
    [this.id, this.other] = [id, other];
    this.ids = list().map((image) => image.id);
    this.dialog = openDialog(t("viewer.title"), "viewer", () => {
      open = null;
      this.stage.close();
      document.querySelector(`[data-image="${this.id}"]`)?.focus();
    });
    this.top = h("header", { class: "viewer-top" });
    this.frame = h("div", { class: "viewer-frame" });
    this.side = h("aside", { class: "viewer-side" });
    this.strip = h("ul", { class: "strip", "aria-label": t("viewer.strip") });
    this.dialog.append(this.top, this.frame, this.side, this.strip);
    this.stage = new Stage(this.frame);
    if (other) this.stage.mode = "side";
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && this.stage.blink(false));
    this.draw();
  }

  get image() {
    return findImage(this.id).image;
  }

  get job() {
    return findImage(this.id).job;
  }

  /** What can be set against the image: its photo, the ground without product, or another image. */
  describe(id) {
    const { width, height } = this.image;
    const item = this.job.request.items[this.image.item];
    if (id === "photo") return { address: assetFile(item.image), thumbnail: assetThumbnail(item.image), label: t("viewer.photo"), width, height };
    if (id === "plate") return { address: `/v1/images/${this.id}/plate`, thumbnail: `/v1/images/${this.id}/plate`, label: t("viewer.plate"), width, height };
    const { image } = findImage(id);
    return { address: imageFile(id), thumbnail: imageThumbnail(id), label: `${image.width} × ${image.height} · ${image.candidate}`, width: image.width, height: image.height };
  }

  go(step) {
    const next = this.ids[this.ids.indexOf(this.id) + step];
    if (next) this.show(next);
  }

  show(id) {
    if (this.other === id) this.other = this.id;
    this.id = id;
    this.draw();
    this.strip.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  setMode(mode) {
    if (mode !== "one") this.other ??= this.ids.find((id) => id !== this.id) ?? "photo";
    this.stage.mode = mode;
    this.draw();
  }

  verdict(decision) {
    const { decision: now } = this.image;
    const goes = now !== decision;
    const id = this.id;
    tryTo(async () => {
      await decide([id], goes ? decision : "open");
      if (goes && decision === "approved" && this.id === id) this.go(1);
    })();
  }

  edit() {
    const { image, job } = this;
    openEditor(image, async (made) => {
      await refresh(made.job);
      this.ids.splice(this.ids.indexOf(this.id) + 1, 0, made.id);
      this.show(made.id);
    }, tryTo(async (box, scale) => {
      await sampleAgain(job, image, box, scale);
      toast(t("viewer.added", { n: 1 }));
    }));
  }

  key(event) {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const onRange = event.target.type === "range";
    if (key === "arrowright" && !onRange) this.go(1);
    else if (key === "arrowleft" && !onRange) this.go(-1);
    else if (key === "a") this.verdict("approved");
    else if (key === "r") this.verdict("rejected");
    else if (key === "e") this.edit();
    else if (key === "c") this.setMode(MODES[(MODES.indexOf(this.stage.mode) + 1) % MODES.length]);
    else if (key === "b") {
      if (!this.stage.other) this.stage.other = this.describe(this.other ?? "plate");
      this.stage.blink(true);
    } else if (!this.stage.zoom.key(event)) return;
    event.preventDefault();
  }

  draw() {
    const { image } = this;
    if (!image) return this.dialog.close();
    const { mode } = this.stage;
    const at = this.ids.indexOf(this.id);
    fill(this.top,
      button({ icon: "back", kind: "quiet", label: t("back"), onclick: () => this.dialog.close() }),
      h("h2", {}, h("span", { class: "wide-only" }, `${image.name} `), h("span", { class: "soft" }, t("viewer.of", { n: at + 1, total: this.ids.length }))),
      segments(t("compare"), MODES.map((one) => [one, t(`compare.${one}`)]), mode, (one) => this.setMode(one)),
      button({ icon: "fit", kind: "quiet wide-only", label: `${t("zoom.fit")} (0)`, onclick: () => this.stage.zoom.fit() }));
    this.stage.show(this.describe(this.id), this.other && mode !== "one" ? this.describe(this.other) : null);
    this.frame.querySelector(".cut")?.remove();
    if (mode === "slider") this.frame.append(drawCut(this.stage));
    fill(this.side, this.drawSide(image));
    this.drawStrip();
  }

  drawSide(image) {
    return [this.drawVerdict(image), this.drawFacts(image), this.drawMore(), this.drawDownload(image)];
  }

  drawVerdict(image) {
    const set = (name, text, key) => button({ icon: name, text: [text, h("kbd", {}, key)], kind: `verdict-button ${name}`, onclick: () => this.verdict(name === "approve" ? "approved" : "rejected"),
      "aria-pressed": String(image.decision === (name === "approve" ? "approved" : "rejected")) });
    const turn = (reason) => image.reasons.includes(reason) ? image.reasons.filter((one) => one !== reason) : [...image.reasons, reason];
    return h("section", { class: "section", key: "verdict", "aria-label": t("viewer.verdict") },
      h("div", { class: "verdicts" }, set("approve", t("approve"), "A"), set("reject", t("reject"), "R")),
      image.decision === "rejected" && h("div", { class: "reasons", role: "group", "aria-label": t("viewer.reasons") },
        h("p", { class: "soft small-text" }, t("viewer.reasons")),
        [...CHECKS, "taste"].map((reason) => h("button", { type: "button", class: "reason", key: reason, "aria-pressed": String(image.reasons.includes(reason)),
          onclick: tryTo(() => decide([image.id], "rejected", turn(reason))) }, t(`check.${reason}`)))));
  }

  drawFacts(image) {
    const { report, gate } = image;
    const pixels = report.opaque_pixels;
    const scaled = this.job.request.settings.product_scale || report.notes.some((note) => note.includes("scaled"));
    return h("section", { class: "section facts", key: "facts" },
      pixels > 0 && report.exact && h("p", { class: "exact" }, icon("lock"), h("span", {}, t(scaled ? "viewer.scaled" : "viewer.exact", { n: pixels }))),
      report.notes.map((note) => h("p", { class: "soft small-text", key: note }, note)),
      gate && h("details", { key: "gate", open: !gate.passed }, h("summary", {}, h("span", { class: gate.passed ? "good" : "warn" }, icon(gate.passed ? "approve" : "warning"), t(gate.passed ? "gate.passed" : "gate.refused"))),
        h("dl", {}, listChecks(gate).map((check) => [h("dt", {}, check.word), h("dd", { class: check.failed ? "warn" : "" }, tellValue(check))]))),
      h("dl", {}, [["size", `${image.width} × ${image.height}`], ["category", image.category], ["seed", String(image.seed)], ["seconds", image.seconds && formatNumber(image.seconds, 1)]]
        .filter(([, value]) => value).map(([name, value]) => [h("dt", {}, t(`fact.${name}`)), h("dd", {}, value)])));
  }

  drawMore() {
    const add = (make) => tryTo(async () => {
      await make(this.job, this.image);
      toast(t("viewer.added", { n: 4 }));
    });
    return h("section", { class: "section more-of", key: "more", "aria-label": t("viewer.more") },
      button({ text: [t("edit"), h("kbd", {}, "E")], icon: "edit", onclick: () => this.edit() }),
      button({ text: t("viewer.poster"), icon: "poster", onclick: tryTo(async () => {
        const { advertise } = await import("./posters.js");
        this.dialog.close();
        advertise(this.image);
      }) }),
      button({ text: t("image.alike"), icon: "style", onclick: add(addAlike) }),
      button({ text: t("image.four"), icon: "add", onclick: add(addImages) }),
      button({ text: t("viewer.lock"), icon: "lock", onclick: tryTo(async () => {
        change({ look: { ...state.look, ...(await findLook(this.job, this.image)) } }, "panel");
        toast(t("viewer.locked"));
      }) }),
      button({ text: t("history.use"), icon: "history", onclick: () => {
        useSettings(this.job);
        toast(t("history.used"));
      } }));
  }

  drawDownload(image) {
    return h("section", { class: "section downloads", key: "download" },
      button({ text: t("download.image"), icon: "download", kind: "primary", onclick: () => save(imageFile(image.id)) }),
      h("div", { class: "row" }, LAYERS.map((kind) => button({ text: t(`download.${kind}`), kind: "small", onclick: () => save(`/v1/images/${image.id}/layers.${kind}`) }))));
  }

  drawStrip() {
    const comparing = this.stage.mode !== "one";
    const one = (id, label, thumbnail) => h("li", { key: id }, h("button", { type: "button", class: "strip-image", "aria-current": String(id === this.id), "aria-pressed": comparing ? String(id === this.other) : undefined,
      "aria-label": label, title: label, onclick: () => {
        if (!comparing) return this.show(id);
        if (id !== this.id) this.other = id;
        this.draw();
      } }, h("img", { alt: "", src: thumbnail, loading: "lazy" })));
    fill(this.strip, comparing && ["photo", "plate"].map((id) => one(id, this.describe(id).label, this.describe(id).thumbnail)),
      this.ids.filter((id) => findImage(id).image).map((id) => one(id, this.describe(id).label, imageThumbnail(id))));
  }
}
