// How is something said in passing, and what is done where it fails?

import { button, fill, h } from "./dom.js";
import { t } from "./words.js";

const SECONDS = 7;
let ending = null;

/** Say `text` for a while; with `action`, a word, offer to `run` it. */
export function toast(text, action, run) {
  const place = document.getElementById("toast");
  const end = () => fill(place);
  const host = document.querySelector("dialog[open]:last-of-type") ?? document.body;
  host.append(place); // what a dialog covers cannot be seen
  fill(place, h("p", {}, text), action && button({ text: action, kind: "small", onclick: () => {
    end();
    run();
  } }));
  clearTimeout(ending);
  ending = setTimeout(end, 1000 * SECONDS);
}

/** A handler that does `run` once at a time and says why it could not. */
export function tryTo(run) {
  let working = false;
  return async (...values) => {
    if (working) return;
    working = true;
    try {
      await run(...values);
    } catch (error) {
      toast(error.message || t("offline"));
    } finally {
      working = false;
    }
  };
}
