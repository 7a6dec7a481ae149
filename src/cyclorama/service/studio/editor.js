// What have the editors over the page in common?  A dialog, its top row, undo and redo, and their keys.

import { button, fill, h, openDialog, typing } from "./dom.js";
import { t } from "./words.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** An editor has `changed`, `canGo(step)` and `go(step)` for undo and redo, and `press(event, key, arrow)`. */
export class Editor {
  /** `content` lies between top row and tools; `question` is asked before changes are lost. */
  constructor(title, content, question, onclose) {
    this.question = question;
    this.problem = "";
    this.top = h("header", { class: "editor-top" });
    this.tools = h("div", { class: "editor-tools" });
    const guard = (event) => this.changed && event.preventDefault();
    this.dialog = openDialog(title, "editor", () => {
      removeEventListener("beforeunload", guard);
      onclose();
    });
    addEventListener("beforeunload", guard);
    this.dialog.append(this.top, content, this.tools);
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("cancel", (event) => (event.preventDefault(), this.leave()));
  }

  key(event) {
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "Escape") this.leave();
    else if (typing(event)) return;
    else if (control && (key === "z" || key === "y")) {
      const step = key === "y" || event.shiftKey ? 1 : -1;
      if (this.canGo(step)) this.go(step);
    } else if (control || this.press(event, key, ARROWS[key]) === false) return;
    event.preventDefault();
  }

  leave() {
    if (!this.changed || confirm(t(this.question))) this.dialog.close();
  }

  /** The top row: leave, `name`, undo, redo, `more`, `save` (a button's properties). */
  drawTop(name, save, ...more) {
    const turn = (icon, label, step) => button({ icon, label, kind: "quiet", disabled: !this.canGo(step), onclick: () => this.go(step) });
    fill(this.top,
      button({ icon: "close", label: t(this.changed ? "mask.cancel" : "back"), kind: "quiet", onclick: () => this.leave() }),
      h("h2", { class: "editor-name" }, name),
      h("span", { class: "editor-zoom" }, turn("undo", `${t("undo")} (Ctrl Z)`, -1), turn("redo", `${t("redo")} (Ctrl Shift Z)`, 1), more),
      button({ kind: "primary", ...save }));
  }
}
