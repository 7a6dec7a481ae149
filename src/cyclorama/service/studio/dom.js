// How is the page's DOM made and brought up to date without losing focus, images or scroll?

const SVG = "http://www.w3.org/2000/svg";

/** One path each, drawn as 1.5 px lines in a box of 20. */
const ICONS = {
  add: "M10 4v12M4 10h12",
  approve: "M4 10.5l4 4 8-9",
  back: "M12 4l-6 6 6 6",
  blink: "M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5zM10 8a2 2 0 100 4 2 2 0 000-4z",
  brush: "M16.5 3.5L9 11M9 11c-3 0-3 2-3.5 3.5S4 16.5 3 16.5c3 1 7.5 0 7.5-4z",
  carve: "M10 4c4 0 7 1.8 7 4.5S14 13 10 13s-7-1.8-7-4.5S6 4 10 4zM7 8.5h6M6 12.5c-2 1-1 3 .5 2.5S8 17 6 17.5",
  centre: "M10 3v14M5 6.5h10v7H5z",
  close: "M5 5l10 10M15 5L5 15",
  compare: "M3 4h6v12H3zM11 4h6v12h-6z",
  download: "M10 3v10M6 9.5l4 4 4-4M4 17h12",
  edit: "M10 2.5v15M2.5 10h15M7.5 5L10 2.5 12.5 5M7.5 15l2.5 2.5 2.5-2.5M5 7.5L2.5 10 5 12.5M15 7.5l2.5 2.5-2.5 2.5",
  erase: "M8 16l-4.5-4.5 8-8L17 9l-7 7zM7.5 7.5L13 13M8 16h9",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  folder: "M2.5 5h5l2 2h8v9h-15z",
  ground: "M3 16.5h14M6.5 4h7v9.5h-7z",
  history: "M3.5 10a6.5 6.5 0 102-4.7M3 3v3.5h3.5M10 6.5V10l2.5 2",
  images: "M3 4h14v12H3zM3 13l4-4 4 4 2-2 4 3.5",
  lasso: "M10 4c4 0 7 1.8 7 4.5S14 13 10 13s-7-1.8-7-4.5S6 4 10 4zM6 12.5c-2 1-1 3 .5 2.5S8 17 6 17.5",
  "left-edge": "M3.5 3v14M6.5 6.5h9v7h-9z",
  lock: "M5 9h10v8H5zM7 9V6.5a3 3 0 016 0V9",
  more: "M4 10h.01M10 10h.01M16 10h.01",
  next: "M8 4l6 6-6 6",
  poster: "M4 2.5h12v15H4zM7 6h6M7 9h4M7 14.5h3",
  products: "M3 6.5L10 3l7 3.5v7L10 17l-7-3.5zM3 6.5l7 3.5 7-3.5M10 10v7",
  redo: "M16 8H8a4 4 0 000 8h3M12.5 4.5L16 8l-3.5 3.5",
  refine: "M3 17L12 8M13.5 2v3M13.5 9v3M9 6.5h2M16 6.5h2M6 3v2M5 4h2",
  reject: "M5 5l10 10M15 5L5 15",
  "right-edge": "M16.5 3v14M4.5 6.5h9v7h-9z",
  retry: "M16.5 10a6.5 6.5 0 11-2-4.7M17 3v3.5h-3.5",
  search: "M9 3.5a5.5 5.5 0 100 11 5.5 5.5 0 000-11zM13 13l4 4",
  slider: "M10 3v14M7 8l-3 2 3 2M13 8l3 2-3 2",
  style: "M10 3a7 7 0 000 14c2 0 1-2 1.5-3s5.5 0 5.5-4c0-4-3-7-7-7zM6.5 8h.01M10 6h.01M13.5 8h.01",
  table: "M3 4h14v12H3zM3 8h14M3 12h14M8 4v12",
  undo: "M4 8h8a4 4 0 010 8H9M7.5 4.5L4 8l3.5 3.5",
  warning: "M10 3l8 14H2zM10 8v4M10 14.5h.01",
};

/** An icon beside a word; alone, its button needs a label. @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  path.setAttribute("d", ICONS[name]);
  return svg;
}

const handle = (event) => event.currentTarget.handlers[event.type]?.(event);

/**
 * An element. Of `props`, functions named `onclick`, `oninput`… listen, objects named `style` set CSS
 * properties, true and false set and leave out attributes, and `key` says which element it is among its like.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  element.handlers = {};
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") listen(element, name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else if (name === "key") element.dataset.key = value;
    else if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else if (value !== undefined && value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function listen(element, type, handler) {
  if (!element.handlers[type]) element.addEventListener(type, handle);
  element.handlers[type] = handler;
}

const keyOf = (node) => node.dataset?.key;

/**
 * Bring `from` to what `to` is and keep every element that stays: its focus, scroll and loaded image. An element with
 * `data-own` draws its content itself; its handler `onsync` hears that the page was drawn.
 */
function morph(from, to) {
  if (from.nodeName !== to.nodeName || keyOf(from) !== keyOf(to)) return from.replaceWith(to);
  if (from.dataset?.own !== undefined) return from.handlers.sync?.();
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name, value } of [...to.attributes])
    if (from.getAttribute(name) !== value)
      name === "style" ? (from.style.cssText = to.style.cssText) : from.setAttribute(name, value);
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
  if (to.handlers) {
    for (const type of Object.keys(from.handlers ?? {})) if (!to.handlers[type]) delete from.handlers[type];
    for (const [type, handler] of Object.entries(to.handlers)) listen(from, type, handler);
  }
  if ("checked" in to) from.checked = to.checked;
  if ("value" in to && from !== document.activeElement && from.value !== to.value) from.value = to.value;
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const keyed = new Map([...from.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let cursor = from.firstChild;
  for (const fresh of [...to.childNodes]) {
    const key = keyOf(fresh);
    const like = cursor && !keyOf(cursor) && cursor.nodeName === fresh.nodeName ? cursor : null;
    const match = key ? keyed.get(key) : like;
    if (!match) from.insertBefore(fresh, cursor);
    else {
      if (match === cursor) cursor = cursor.nextSibling;
      else from.insertBefore(match, cursor);
      morph(match, fresh);
    }
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

/** Make `children` the content of `container`, keeping what stays. */
export function fill(container, ...children) {
  const fresh = document.createElement(container.nodeName);
  fresh.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  morphChildren(container, fresh);
}

/** A button with an icon, a word or both. Without a word `label` is read out and shown as a hint. */
export function button({ icon: name, text, label, kind = "", ...props }) {
  return h(
    "button",
    { type: "button", class: `button ${kind}`, "aria-label": label, title: label, ...props },
    name && icon(name),
    text && h("span", {}, text),
  );
}

/** One of a few, as a row of buttons. `options`: [value, word] pairs. */
export function segments(label, options, chosen, choose) {
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": label },
    options.map(([value, word]) =>
      h(
        "button",
        { type: "button", key: String(value), "aria-pressed": String(value === chosen), onclick: () => choose(value) },
        word,
      ),
    ),
  );
}

/** A dialog over the page with a content of its own; it ends when it is closed. */
export function openDialog(label, kind, onclose) {
  const dialog = h("dialog", { class: kind, "aria-label": label });
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
    if (before?.isConnected) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Whether keys belong to a field that takes text. */
export const typing = (event) =>
  event.target.matches?.("input:not([type=range],[type=checkbox],[type=radio]),textarea,select");
