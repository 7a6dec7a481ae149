// What do all images of a brand share?  Its kit is looked at, changed and chosen here.

import { assetFile, assetThumbnail, dropBrand, get, keepBrand, upload } from "./api.js";
import { CHANNELS } from "./channels.js";
import { button, fill, h, openDialog, segments } from "./dom.js";
import { drawReference, pickFile, pickReference } from "./references.js";
import { render, server } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { formatTime, t } from "./words.js";

const CORNERS = ["top-left", "top-right", "bottom-left", "bottom-right"];
const FORMATS = ["png", "webp", "jpeg", "avif"];
const MOST_COLOURS = 12;
const empty = () => ({ name: "", style: null, references: [], palette: [], logo: null, use_words: [], avoid_words: [], outputs: [], format: null });

/** Ask the server for the brands. */
export async function loadBrands() {
  server.brands = (await get("/v1/brands?limit=100")).items;
  render("panel");
}

/** Choose a brand, look into it, or make one; `choose(brand)`, null for none. */
export function drawBrands(chosen, choose) {
  const brand = server.brands.find(({ id }) => id === chosen);
  const edit = (kit) => openBrand(kit, async (kept) => {
    await loadBrands();
    choose(kept);
  });
  return h("div", { class: "brand", key: "brand" },
    h("div", { class: "own-size" },
      server.brands.length > 0 && h("select", { class: "select", "aria-label": t("style.brand"), onchange: (event) => choose(server.brands.find(({ id }) => id === event.target.value) ?? null) },
        h("option", { value: "", selected: !brand }, t("brand.none")),
        server.brands.map(({ id, name }) => h("option", { value: id, selected: id === chosen }, name))),
      brand && button({ icon: "brush", label: t("brand.edit", { name: brand.name }), onclick: () => edit(brand) }),
      button({ icon: "add", text: server.brands.length ? null : t("brand.new"), label: t("brand.new"), onclick: () => edit(null) })),
    brand && [
      brand.palette.length > 0 && h("div", { class: "swatches", "aria-hidden": "true" }, brand.palette.map((colour) => h("span", { style: { background: colour } }))),
      brand.references.length > 0 && h("div", { class: "row" }, brand.references.map(({ image }) => h("img", { class: "small-image", alt: "", src: assetThumbnail(image) }))),
    ],
    h("p", { class: "soft small-text" }, t(brand ? "brand.takes" : "brand.hint")));
}

function openBrand(kit, keep) {
  const brand = structuredClone(kit ?? empty());
  brand.references = brand.references.map(({ image, mask }) => ({ asset: image, cutout: mask ? { matte: mask } : null }));
  let problem = "";
  const dialog = openDialog(t(kit ? "brand.edit" : "brand.new", { name: brand.name }), "form");
  const change = (values) => {
    Object.assign(brand, values);
    draw();
  };
  const save = tryTo(async () => {
    const { name, style, palette, logo, use_words, avoid_words, outputs, format } = brand;
    const references = brand.references.map(({ asset, cutout }) => ({ image: asset, mask: cutout?.matte ?? null }));
    try {
      const kept = await keepBrand(kit?.id, { name: name.trim(), style, palette, logo, use_words, avoid_words, outputs, format, references });
      dialog.close();
      await keep(kept);
      toast(t("brand.kept", { name: kept.name, version: kept.version }));
    } catch (error) {
      problem = error.message || t("offline");
      draw();
    }
  });
  const remove = tryTo(async () => {
    if (!confirm(t("brand.delete", { name: kit.name }))) return;
    await dropBrand(kit.id);
    dialog.close();
    await keep(null);
  });

  const part = (name, ...content) => h("section", { class: "section", key: name, "aria-labelledby": `brand-${name}` }, h("h3", { id: `brand-${name}` }, t(`brand.${name}`)), content);
  const drop = (label, onclick) => button({ icon: "close", kind: "quiet small", label, onclick });
  const words = (name) => h("label", { class: "field", key: name }, h("span", {}, t(`brand.${name}`)),
    h("textarea", { class: "input", rows: 2, value: brand[name].join(", "), onchange: (event) => change({ [name]: event.target.value.split(/[,\n]/).map((word) => word.trim()).filter(Boolean) }) }));
  const swap = (list, at, value) => list.map((one, k) => (k === at ? value : one));
  const without = (list, at) => list.filter((_, k) => k !== at);

  function draw() {
    const { references, palette, logo } = brand;
    fill(dialog,
      h("header", { class: "editor-top" },
        button({ icon: "close", label: t("mask.cancel"), kind: "quiet", onclick: () => dialog.close() }),
        h("h2", {}, kit ? kit.name : t("brand.new"), kit && h("span", { class: "soft small-text wide-only" }, ` ${t("brand.version", { version: kit.version, time: formatTime(kit.created) })}`)),
        kit && button({ text: t("brand.remove"), kind: "quiet", onclick: remove }),
        button({ text: t("save"), kind: "primary", disabled: !brand.name.trim(), onclick: save })),
      h("div", { class: "form-body" },
        problem && h("p", { class: "problem", role: "alert" }, problem),
        h("label", { class: "field" }, h("span", {}, t("brand.name")), h("input", { class: "input", maxlength: 100, value: brand.name, oninput: (event) => change({ name: event.target.value }) })),
        part("palette",
          h("div", { class: "row" }, palette.map((colour, k) => h("span", { class: "swatch", key: `colour-${k}` },
            h("input", { type: "color", value: colour, "aria-label": t("brand.colour", { n: k + 1 }), onchange: (event) => change({ palette: swap(palette, k, event.target.value) }) }),
            drop(t("brand.without", { name: t("brand.colour", { n: k + 1 }) }), () => change({ palette: without(palette, k) })))),
          palette.length < MOST_COLOURS && button({ icon: "add", label: t("brand.colour.add"), key: "add", onclick: () => change({ palette: [...palette, "#808080"] }) })),
          h("p", { class: "soft small-text" }, t("brand.palette.hint"))),
        part("references",
          h("div", { class: "references" }, references.map((reference, k) => drawReference(reference, (mended) => change({ references: swap(brand.references, k, mended) }),
            drop(t("brand.without", { name: t("style.reference") }), () => change({ references: without(brand.references, k) }))))),
          button({ text: t("reference.choose"), icon: "images", onclick: () => pickReference((reference) => change({ references: [...brand.references, reference] })) })),
        part("style", h("div", { class: "row" },
          brand.style && h("a", { class: "file-name", href: assetFile(brand.style), download: "" }, t("style.style")),
          button({ text: t(brand.style ? "reference.other" : "style.choose"), icon: "folder", kind: "small", onclick: () => pickFile(".yaml,.yml", async (file) => change({ style: (await upload(file)).id })) }),
          brand.style && drop(t("brand.without", { name: t("style.style") }), () => change({ style: null })))),
        part("logo", logo && h("div", { class: "row" },
          h("img", { class: "small-image", alt: t("brand.logo"), src: assetThumbnail(logo.image) }),
          segments(t("brand.corner"), CORNERS.map((corner) => [corner, h("span", { class: `corner ${corner}` }, h("span", { class: "hidden" }, t(`brand.${corner}`)))]), logo.corner, (corner) => change({ logo: { ...logo, corner } })),
          drop(t("brand.without", { name: t("brand.logo") }), () => change({ logo: null }))),
          button({ text: t(logo ? "reference.other" : "brand.logo.choose"), icon: "images", kind: "small", onclick: () => pickFile("image/*", async (file) => change({ logo: { corner: "top-left", ...logo, image: (await upload(file)).id } })) })),
        part("words", words("use_words"), words("avoid_words")),
        part("sizes", h("div", { class: "sizes" }, [...new Set([...CHANNELS.map(([size]) => size), ...brand.outputs])].map((size) => {
          const on = brand.outputs.includes(size);
          const use = CHANNELS.find(([one]) => one === size)?.[1];
          return h("button", { type: "button", class: "size", key: size, "aria-pressed": String(on), onclick: () => change({ outputs: on ? brand.outputs.filter((one) => one !== size) : [...brand.outputs, size] }) },
            h("span", {}, use && h("b", {}, t(`sizes.${use}`)), h("small", {}, size.replace("x", " × "))));
        }))),
        part("format", segments(t("brand.format"), [[null, t("brand.format.any")], ...FORMATS.map((name) => [name, name.toUpperCase()])], brand.format, (format) => change({ format })))));
  }
  draw();
}
