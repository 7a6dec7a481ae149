// What is asked for: style, sizes, quality, how many?

import { get, imageThumbnail, upload } from "./api.js";
import { drawBrands } from "./brand.js";
import { CHANNELS, measure } from "./channels.js";
import { button, fill, h, icon, segments } from "./dom.js";
import { estimate, generate, getReady, keepStyle, showLooks } from "./jobs.js";
import { drawReference, pickFile, pickReference } from "./references.js";
import { drawSearch } from "./search.js";
import { change, onRender, render, server, state } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { formatNumber, formatSeconds, t } from "./words.js";

const COUNTS = [1, 2, 4, 8];
const SHARES = [[null, "photo"], [0.45, "small"], [0.6, "middle"], [0.75, "large"]];
const MOST_SIZES = 16;
const setLook = (values) => change({ look: { ...state.look, ...values } }, "panel");

const section = (name, ...children) => h("section", { class: "section", key: name, "aria-labelledby": `title-${name}` },
  h("h2", { id: `title-${name}` }, t(`panel.${name}`)), children);

function drawStyle() {
  const { look } = state;
  return section("style",
    segments(t("panel.style"), ["category", "reference", "style", "brand"].map((kind) => [kind, t(`style.${kind}`)]), look.kind, (kind) => setLook({ kind })),
    { category: drawCategory, reference: drawReferences, style: drawFile, brand: drawBrand }[look.kind]());
}

function drawCategory() {
  return [
    drawSearch(() => state.look.category, (category) => setLook({ category, pick: null, looks: null })),
    drawLooks(),
  ];
}

function drawLooks() {
  const { looks, pick } = state.look;
  const job = looks && server.jobs.get(looks.job);
  const ready = getReady().length;
  if (!job) return h("div", { class: "row", key: "looks" },
    button({ text: t("looks.show"), icon: "style", disabled: !ready, onclick: tryTo(() => showLooks()) }),
    !ready && h("p", { class: "soft small-text" }, t("looks.first")));
  return h("div", { class: "looks", key: "looks" },
    h("ul", { class: "look-tiles", "aria-label": t("looks.title") }, job.images.map((image) => h("li", { key: image.id },
      h("button", { type: "button", class: "look", disabled: image.state !== "done", "aria-pressed": String(pick?.image === image.id),
        "aria-label": t("looks.choose", { n: image.item + 1 }),
        onclick: tryTo(async () => setLook({ pick: pick?.image === image.id ? null : await keepStyle(image) })) },
      image.state === "done" && h("img", { alt: "", src: imageThumbnail(image.id) }),
      pick?.image === image.id && h("span", { class: "badge" }, icon("approve")))))),
    h("p", { class: "soft small-text" }, pick ? t("looks.picked") : t("looks.hint")),
    button({ text: t("looks.more"), icon: "retry", kind: "small", onclick: tryTo(() => showLooks(true)) }));
}

const setReference = (reference) => setLook({ kind: "reference", reference });

function drawReferences() {
  const { reference } = state.look;
  if (!reference) return h("div", { class: "row", key: "reference" },
    button({ text: t("reference.choose"), icon: "images", onclick: () => pickReference(setReference) }),
    h("p", { class: "soft small-text" }, t("reference.hint")));
  return drawReference(reference, setReference, button({ text: t("reference.other"), kind: "small", onclick: () => pickReference(setReference) }));
}

/** A brand brings its canvases; what else it says the server takes. */
const drawBrand = () => drawBrands(state.look.brand, (brand) => {
  setLook({ kind: "brand", brand: brand?.id });
  if (brand?.outputs.length) change({ sizes: brand.outputs }, "panel");
});

function drawFile() {
  const { style } = state.look;
  return h("div", { class: "row", key: "style-file" },
    style && h("p", { class: "file-name" }, style.name),
    button({ text: t(style ? "reference.other" : "style.choose"), icon: "folder", kind: style ? "small" : "",
      onclick: () => pickFile(".yaml,.yml", async (file) => setLook({ style: { asset: (await upload(file)).id, name: file.name } })) }),
    h("p", { class: "soft small-text" }, t("style.hint")));
}

function toggleSize(size) {
  const sizes = state.sizes.includes(size) ? state.sizes.filter((one) => one !== size) : [...state.sizes, size];
  if (!sizes.length) return;
  if (sizes.length > MOST_SIZES) return toast(t("sizes.most", { n: MOST_SIZES }));
  change({ sizes }, "panel");
}

const drawShape = (size) => {
  const [width, height] = measure(size, 4, 5);
  const long = Math.max(width, height);
  return h("span", { class: "shape", "aria-hidden": "true", style: { width: `${(20 * width) / long}px`, height: `${(20 * height) / long}px` } });
};

const drawSize = (size, use) =>
  h("button", { type: "button", class: "size", key: `size-${size}`, "aria-pressed": String(state.sizes.includes(size)), onclick: () => toggleSize(size) },
    drawShape(size), h("span", {}, use && h("b", {}, t(`sizes.${use}`)), h("small", {}, size === "source" ? t("sizes.source.hint") : size.replace("x", " × "))));

function drawSizes() {
  const known = new Set(CHANNELS.map(([size]) => size));
  const own = state.sizes.filter((size) => !known.has(size));
  const add = () => {
    const [width, height] = ["width", "height"].map((side) => Number(document.getElementById(`own-${side}`).value));
    if (!(width >= 64 && height >= 64 && width <= 8192 && height <= 8192 && width <= 10 * height && height <= 10 * width)) return toast(t("sizes.limit"));
    if (!state.sizes.includes(`${width}x${height}`)) toggleSize(`${width}x${height}`);
  };
  const side = (name) => h("input", { id: `own-${name}`, class: "input", type: "number", min: 64, max: 8192, inputmode: "numeric", placeholder: t(`sizes.${name}`), "aria-label": t(`sizes.${name}`), key: name });
  return section("sizes",
    state.sets.length > 0 && h("ul", { class: "chips", key: "sets" }, state.sets.map((set) => h("li", { key: set.name, class: "chip" },
      h("button", { type: "button", "aria-pressed": String(String(set.sizes) === String(state.sizes)), onclick: () => change({ sizes: set.sizes }, "panel") }, set.name),
      button({ icon: "close", kind: "quiet small", label: t("sizes.forget", { name: set.name }), onclick: () => change({ sets: state.sets.filter((one) => one !== set) }, "panel") })))),
    h("div", { class: "sizes", key: "sizes" }, CHANNELS.map(([size, use]) => drawSize(size, use)), own.map((size) => drawSize(size))),
    h("div", { class: "own-size", key: "own" }, side("width"), h("span", { "aria-hidden": "true" }, "×"), side("height"), button({ icon: "add", label: t("sizes.add"), onclick: add })),
    h("details", { class: "keep", key: "keep" }, h("summary", {}, t("sizes.keep")),
      h("form", { class: "own-size", onsubmit: (event) => {
        event.preventDefault();
        const name = event.target.elements.name.value.trim();
        if (name) change({ sets: [...state.sets.filter((set) => set.name !== name), { name, sizes: state.sizes }] }, "panel");
        event.target.closest("details").open = false;
      } }, h("input", { class: "input", name: "name", maxlength: 40, "aria-label": t("sizes.name"), placeholder: t("sizes.name") }), h("button", { class: "button" }, t("save")))));
}

function drawQuality() {
  const presets = server.presets.map(({ name, seconds }) => [name, [t(`preset.${name}`), seconds ? h("small", {}, formatSeconds(seconds)) : null]]);
  return section("quality",
    segments(t("panel.quality"), presets, state.preset, (preset) => change({ preset }, "panel")),
    h("h3", {}, t("panel.share")),
    segments(t("panel.share"), SHARES.map(([share, word]) => [share, t(`share.${word}`)]), state.share ?? null, (share) => change({ share }, "panel")),
    h("p", { class: "soft small-text" }, t(state.share ? "share.hint" : "share.photo.hint")),
    h("h3", {}, t("panel.candidates")),
    segments(t("panel.candidates"), COUNTS.map((n) => [n, formatNumber(n)]), state.candidates, (candidates) => change({ candidates }, "panel")),
    h("label", { class: "check" }, h("input", { type: "checkbox", checked: state.gate, onchange: (event) => change({ gate: event.target.checked }, "panel") }), h("span", {}, t("panel.gate"))),
    server.models.length > 1 && h("label", { class: "field" }, h("span", {}, t("panel.model")),
      h("select", { class: "select", onchange: tryTo(async (event) => {
        change({ model: event.target.value }, "panel");
        server.categories = (await get(`/v1/categories?model=${encodeURIComponent(state.model)}`)).items;
        render("panel", "products");
      }) },
        server.models.map(({ name }) => h("option", { value: name, selected: name === (state.model ?? server.models[0].name) }, name)))));
}

const make = tryTo(async () => {
  await generate();
  location.hash = "images";
});

function drawFoot() {
  const products = getReady().length;
  const { images, seconds } = estimate();
  const sum = products
    ? [`${t("count.products", { n: products })} × ${t("count.sizes", { n: state.sizes.length })} × ${formatNumber(state.candidates)}`, seconds && t("panel.about", { time: formatSeconds(seconds) })]
    : [t("panel.empty")];
  return [h("p", { class: "sum" }, sum.filter(Boolean).join(" · ")),
    button({ text: products ? t("panel.make", { n: images }) : t("panel.make.none"), kind: "primary large", disabled: !products,
onclick: make })];
}

onRender("panel", () => {
  fill(document.getElementById("setup"), drawStyle(), drawSizes(), drawQuality());
  fill(document.getElementById("foot"), drawFoot());
});
