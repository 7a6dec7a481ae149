// How do photos come in, and what does a tile say of each?

import { assetFile, assetThumbnail, cutOut, upload } from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { change, changeProduct, onRender, server, state } from "./state.js";
import { toast } from "./toast.js";
import { t } from "./words.js";

const AT_ONCE = 3;
const queue = [];
let working = 0;

/** Take files in: each becomes a tile at once and is uploaded and cut out behind it. */
export function addFiles(files) {
  const seen = [...files].filter(({ name }) => !name.startsWith("."));
  const images = seen.filter((file) => file.type.startsWith("image/") || /\.(heic|heif|avif|tiff?|psd)$/i.test(file.name));
  const n = seen.length - images.length;
  if (n) toast(t("products.left", { n }));
  if (!images.length) return;
  const products = images.map((file) => ({
    id: crypto.randomUUID(), name: file.name || t("products.pasted"), file, strokes: [], category: null,
  }));
  change({ products: [...state.products, ...products] }, "products", "panel", "nav");
  for (const product of products) begin(product.id);
}

/** Go on with what a reload has cut off. */
export const resumeUploads = () => state.products.filter((product) => !product.cutout && !product.problem).forEach(({ id }) => begin(id));

function begin(id) {
  queue.push(id);
  if (working < AT_ONCE) work();
}

async function work() {
  working += 1;
  for (let id = queue.shift(); id; id = queue.shift()) await prepare(id);
  working -= 1;
}

async function prepare(id) {
  const find = () => state.products.find((product) => product.id === id);
  try {
    let product = find();
    if (!product) return;
    if (!product.asset) {
      const asset = await upload(product.file, product.name);
      changeProduct(id, { asset: asset.id, width: asset.width, height: asset.height, file: undefined });
      product = find();
    }
    if (!product) return;
    const cutout = await cutOut(product.asset, product.strokes);
    changeProduct(id, { cutout, base: cutout.matte });
  } catch (error) {
    changeProduct(id, { problem: error.message || t("offline") });
  }
}

/** The files of a drop, folders opened. */
async function readDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const read = async (entry) => {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return (await Promise.all(found.map(read))).flat();
      found.push(...some);
    }
  };
  return (await Promise.all(entries.map(read))).flat();
}

/** Have `take` take in what is dropped anywhere on the page, or pasted. */
export function listenForFiles(take) {
  const root = document.documentElement;
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !document.querySelector("dialog[open]");
  addEventListener("dragenter", (event) => hasFiles(event) && ++depth && root.classList.add("dropping"));
  addEventListener("dragleave", (event) => hasFiles(event) && !--depth && root.classList.remove("dropping"));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    root.classList.remove("dropping");
    take(await readDrop(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length || document.querySelector("dialog[open]")) return;
    take([...event.clipboardData.files]);
  });
}

const picker = (attributes) => {
  const input = h("input", { type: "file", accept: "image/*,.heic,.heif,.tif,.tiff,.avif", multiple: true, ...attributes });
  input.addEventListener("change", () => addFiles(input.files));
  input.click();
};
const choose = () => picker({});
const chooseFolder = () => picker({ webkitdirectory: true });

function remove({ id, name }) {
  const at = state.products.findIndex((one) => one.id === id);
  const product = state.products[at];
  change({ products: state.products.filter((one) => one.id !== id) }, "products", "panel", "nav");
  toast(t("products.removed", { name }), t("undo"), () => {
    change({ products: state.products.toSpliced(at, 0, product) }, "products", "panel", "nav");
    if (!product.cutout && !product.problem) begin(id);
  });
}

/** Open the mask editor on a product. */
export async function mend(product) {
  const { openMaskEditor } = await import("./mask.js");
  openMaskEditor(product, (cutout, strokes) => changeProduct(product.id, { cutout, strokes, problem: cutout ? undefined : product.problem }));
}

/** Try again what was refused. */
function retry(product) {
  changeProduct(product.id, { problem: undefined });
  begin(product.id);
}

function drawTile(product) {
  const { cutout, problem } = product;
  const sure = cutout && !cutout.warnings.length;
  return h("li", { class: "tile", key: product.id },
    h("button", { type: "button", class: `tile-image ${cutout ? "cut" : ""}`, disabled: !cutout, "aria-label": t("products.mend", { name: product.name }), onclick: () => mend(product) },
      product.asset && h("img", { alt: "", src: assetThumbnail(product.asset), key: "photo",
        style: cutout ? { "mask-image": `url(${assetFile(cutout.matte)})`, transform: frame(cutout) } : {} }),
      cutout && h("span", { class: "tile-mend" }, icon("brush"), h("span", {}, t("products.edit"))),
      !cutout && !problem && h("span", { class: "tile-wait" }, t(product.asset ? "products.cutting" : "products.uploading"))),
    h("div", { class: "tile-text" },
      h("p", { class: "tile-name", title: product.name }, product.name),
      button({ icon: "close", kind: "quiet small", label: t("products.remove", { name: product.name }), onclick: () => remove(product) })),
    problem ? h("div", { class: "tile-note" }, h("p", { class: "problem" }, icon("warning"), problem), h("div", { class: "row" },
      product.width && button({ text: t("reference.mark"), icon: "brush", kind: "small", onclick: () => mend(product) }),
      button({ text: t("retry"), icon: "retry", kind: "small", onclick: () => retry(product) })))
      : h("div", { class: "tile-foot" }, drawCategory(product)),
    cutout && !sure && h("p", { class: "tile-warning" }, icon("warning"), h("span", {}, cutout.warnings.join(" "))),
  );
}

/** Moves and scales a photo in its square tile so that the product fills it. */
function frame({ box, width, height }) {
  const long = Math.max(width, height);
  const scale = Math.min(3, long / Math.max(box.width, box.height, 1));
  const [x, y] = [0.5 - (box.left + box.width / 2) / width, 0.5 - (box.top + box.height / 2) / height];
  return `scale(${scale}) translate(${100 * x}%, ${100 * y}%)`;
}

function drawCategory(product) {
  return h("select", { class: "select small", key: `category-${product.id}`, "aria-label": t("products.category", { name: product.name }),
    onchange: (event) => changeProduct(product.id, { category: event.target.value || null }) },
    h("option", { value: "", selected: !product.category }, state.look.category === "auto" ? t("category.short") : state.look.category),
    server.categories.map(({ name }) => h("option", { value: name, selected: product.category === name }, name)));
}

function drawDrop(first) {
  return h(first ? "div" : "li", { class: first ? "drop first" : "drop", key: "drop" },
    first && h("h1", {}, t("products.welcome")),
    first && h("p", { class: "soft" }, t("products.hint")),
    h("div", { class: "drop-buttons" },
      button({ text: t("products.choose"), icon: "add", kind: first ? "primary" : "", onclick: choose }),
      button({ text: t("products.folder"), icon: "folder", kind: "quiet wide-only", onclick: chooseFolder })),
    first && h("p", { class: "soft small-text" }, t("products.promise")));
}

onRender("products", () => {
  const main = document.getElementById("products");
  fill(main, state.products.length
    ? [h("h1", { class: "hidden" }, t("nav.products")), h("ul", { class: "tiles" }, state.products.map(drawTile), drawDrop(false))]
    : drawDrop(true));
});
