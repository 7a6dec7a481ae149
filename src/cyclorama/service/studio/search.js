// Which category is meant?  Found by any word that is known for it.

import { fill, h, icon } from "./dom.js";
import { server } from "./state.js";
import { getLanguage, t } from "./words.js";

const MOST = 8;
const normal = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** Categories with the word by which `text` finds them: names first, then beginnings, then parts of words. */
export function findCategories(text) {
  const wanted = normal(text.trim());
  const found = server.categories.map(({ name, words }) => {
    const ranks = [name, ...words].map((word) => {
      const at = normal(word).indexOf(wanted);
      return { word, rank: at < 0 ? Infinity : at === 0 ? normal(word).length / 100 : 1 + at };
    });
    const best = ranks.reduce((a, b) => (b.rank < a.rank ? b : a));
    return { name, word: best.word === name ? "" : best.word, rank: best.rank };
  });
  return found.filter(({ rank }) => rank < Infinity).sort((a, b) => a.rank - b.rank);
}

/** A field that shows the category `getChosen()` and tells `choose(name)` another. */
export function drawSearch(getChosen, choose) {
  const getShown = () => (getChosen() === "auto" ? t("category.auto") : getChosen());
  const field = (event) => event.currentTarget.closest(".search");
  const open = (root, text) => {
    const found = text ? findCategories(text) : server.categories.map(({ name }) => ({ name, word: "" }));
    const options = [...(text ? [] : [{ name: "auto", word: "" }]), ...found].slice(0, text ? MOST : undefined);
    root.options = options;
    root.at = text && options.length ? 0 : -1;
    draw(root);
  };
  const close = (root) => {
    root.options = null;
    draw(root);
    root.querySelector("input").value = getShown();
  };
  const take = (root, name) => {
    root.options = null;
    draw(root);
    root.querySelector("input").value = name === "auto" ? t("category.auto") : name;
    choose(name);
  };
  const draw = (root) => {
    const { options, at } = root;
    const input = root.querySelector("input");
    input.setAttribute("aria-expanded", String(Boolean(options)));
    input.setAttribute("aria-activedescendant", options && at >= 0 ? `option-${at}` : "");
    const list = root.querySelector("[role=listbox]");
    list.hidden = !options;
    fill(list, (options ?? []).map(({ name, word }, k) => h("li", { id: `option-${k}`, role: "option", key: name, "aria-selected": String(k === at),
      onpointerdown: (event) => {
        event.preventDefault();
        take(root, name);
      } }, h("span", {}, name === "auto" ? t("category.auto") : name), word && h("small", {}, word))),
    options && !options.length && h("li", { class: "soft" }, t("category.none")));
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  };
  const key = (event) => {
    const root = field(event);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      if (!root.options) open(root, "");
      const count = root.options.length;
      root.at = (root.at + step + count) % Math.max(1, count);
      draw(root);
    } else if (event.key === "Enter" && root.options?.[root.at]) take(root, root.options[root.at].name);
    else if (event.key === "Escape" && root.options) close(root);
    else return;
    event.preventDefault();
  };
  const sync = (root) => {
    const input = root.querySelector("input");
    if (input !== document.activeElement) input.value = getShown();
  };
  const root = h("div", { class: "search", key: `category-${getLanguage()}`, "data-own": true, onsync: () => sync(root) },
    icon("search"),
    h("input", { class: "input", role: "combobox", type: "text", autocomplete: "off", spellcheck: "false", "aria-label": t("category.label"),
      "aria-expanded": "false", "aria-controls": "categories", "aria-autocomplete": "list", value: getShown(),
      onfocus: (event) => event.target.select(), onclick: (event) => open(field(event), ""),
      oninput: (event) => open(field(event), event.target.value.trim()), onkeydown: key, onblur: (event) => close(field(event)) }),
    h("ul", { id: "categories", role: "listbox", "aria-label": t("category.label"), hidden: true }));
  return root;
}
