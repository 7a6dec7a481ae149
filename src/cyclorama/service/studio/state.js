// What does the page know, and what of it outlives a reload?

const DATABASE = "cyclorama-studio";
const tabs = new BroadcastChannel(DATABASE);

/**
 * @typedef {{id: string, name: string, file?: Blob, asset?: string, width?: number, height?: number,
 *   cutout?: object, strokes: object[], category: string|null, problem?: string}} Product
 */

/** Kept in this browser: what is being prepared and which jobs are shown. */
export const state = {
  /** @type {Product[]} */
  products: [],
  look: { kind: "category", category: "auto", reference: null, style: null },
  sizes: ["1080x1350"],
  sets: [],
  preset: "balanced",
  candidates: 2,
  gate: true,
  /** Jobs of the page, newest first; `under`: the job whose images they continue. */
  jobs: [],
  cell: 280,
  language: null,
};

/** Known only until the page is left: what the server says. */
export const server = { categories: [], presets: [], models: [], brands: [], jobs: new Map(), gone: false };

/** What is looked at. */
export const looking = { view: "products", filter: "all", chosen: new Set() };

const parts = new Map();

/** Have `render` run whenever `part` has changed. */
export const onRender = (part, render) => parts.set(part, [...(parts.get(part) ?? []), render]);

const waiting = new Set();

/** Draw `names` again, once, before the next frame. */
export function render(...names) {
  if (!waiting.size) queueMicrotask(() => {
    const due = [...waiting];
    waiting.clear();
    for (const name of due) for (const draw of parts.get(name) ?? []) draw();
  });
  for (const name of names) waiting.add(name);
}

let database;
let saving = null;

/** Change what is kept, draw `names` again and write it down soon. */
export function change(values, ...names) {
  Object.assign(state, values);
  render(...names);
  clearTimeout(saving);
  saving = setTimeout(save, 150);
}

/** Change one product. */
export function changeProduct(id, values) {
  const products = state.products.map((product) => (product.id === id ? { ...product, ...values } : product));
  change({ products }, "products", "panel");
}

function save() {
  saving = null;
  const writing = database?.transaction("state", "readwrite");
  writing?.objectStore("state").put({ ...state }, "state");
  if (writing) writing.oncomplete = () => tabs.postMessage("kept");
}

/** Take up what other tabs change, draw it, and have `take` do the rest. */
export const listenToTabs = (take) => (tabs.onmessage = async () => {
  if (saving !== null) return; // what is changed here is written over it in a moment
  await readState();
  render(...parts.keys());
  take();
});

addEventListener("pagehide", () => saving !== null && save());

/** Take up what an earlier visit left. */
export async function loadState() {
  database = await new Promise((resolve) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("state");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => resolve(null); // a private window: nothing outlives the page
  });
  if (database) await readState();
}

async function readState() {
  const kept = await new Promise((resolve) => {
    const reading = database.transaction("state").objectStore("state").get("state");
    reading.onsuccess = () => resolve(reading.result);
    reading.onerror = () => resolve(null);
  });
  Object.assign(state, kept);
}
