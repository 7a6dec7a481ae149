// How does the page begin, and which of its views is seen?

import { get } from "./api.js";
import { loadBrands } from "./brand.js";
import { button, fill, h, icon } from "./dom.js";
import { listenToGrid } from "./grid.js";
import { followJobs, refresh } from "./jobs.js";
import "./panel.js";
import { addFiles, listenForFiles, resumeUploads } from "./products.js";
import { change, listenToTabs, loadState, looking, onRender, render, server, state } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { getLanguage, languages, loadWords, t } from "./words.js";

const VIEWS = ["products", "setup", "images", "posters", "batch", "history"];
const ICONS = { products: "products", setup: "style", images: "images", posters: "poster", batch: "table", history: "history" };
const PARTS = ["nav", "products", "panel", "images", "posters", "batch", "history", "notice"];

/** What is not seen at first; it is fetched a moment later, so that it is there should the server go. */
const LATER = ["./batch.js", "./history.js", "./mask.js", "./posters.js", "./viewer.js"];
let hear = () => {};

async function loadBatch() {
  const batch = await import("./batch.js");
  hear = batch.hear;
  return batch;
}

function go() {
  for (const dialog of [...document.querySelectorAll("dialog")].reverse()) // the browser's back leaves them, too
    if (dialog.dispatchEvent(new Event("cancel", { cancelable: true }))) dialog.close();
  const view = location.hash.slice(1);
  looking.view = VIEWS.includes(view) ? view : state.jobs.length && !state.products.length ? "images" : "products";
  document.body.dataset.view = looking.view;
  render("nav", "batch", "history");
  if (looking.view === "posters") tryTo(async () => (await import("./posters.js")).draw())();
  if (looking.view === "batch") tryTo(async () => (await loadBatch()).load())();
  if (looking.view === "history") tryTo(async () => (await import("./history.js")).loadHistory())();
}

onRender("nav", () => {
  const counts = { products: state.products.length };
  fill(document.getElementById("nav"), VIEWS.map((view) =>
    h("a", { href: `#${view}`, key: view, class: view, "aria-current": looking.view === view ? "page" : undefined },
      icon(ICONS[view]), h("span", {}, t(`nav.${view}`)), counts[view] > 0 && h("span", { class: "count" }, String(counts[view])))));
  fill(document.getElementById("tools"), h("select", { class: "select small quiet", "aria-label": t("language"), onchange: tryTo(async (event) => {
    await loadWords(event.target.value).finally(() => change({ language: getLanguage() }, ...PARTS));
    document.title = t("title");
  }) }, languages.map(([code, name]) => h("option", { value: code, selected: code === getLanguage() }, name))));
  fill(document.getElementById("skip"), t("skip"));
  fill(document.getElementById("drop-here"), t("products.drop"));
  for (const [id, key] of [["nav", "nav.label"], ["panel", "nav.setup"]]) document.getElementById(id).setAttribute("aria-label", t(key));
});

onRender("notice", () => fill(document.getElementById("notice"), server.gone && h("p", {}, icon("warning"), t("gone"))));

async function begin() {
  await loadState();
  await loadWords(state.language);
  document.title = t("title");
  addEventListener("hashchange", go);
  addEventListener("unhandledrejection", ({ reason }) => reason?.status === undefined || toast(reason.message || t("offline")));
  document.getElementById("skip").addEventListener("click", () => document.getElementById("main").focus());
  listenForFiles(async (files) => {
    location.hash = (await loadBatch()).takeFiles(files) ? "batch" : VIEWS[0];
    if (location.hash === `#${VIEWS[0]}`) addFiles(files);
  });
  listenToGrid();
  go();
  render(...PARTS);
  const [categories, presets, models] = await Promise.all(["categories", "presets", "models"].map(async (name) => (await get(`/v1/${name}`)).items));
  Object.assign(server, { categories, presets, models });
  loadBrands();
  const load = () => Promise.all([...state.jobs.map(({ id }) => id), ...(state.poster?.jobs ?? []), state.look.looks?.job]
    .filter((id) => id && !server.jobs.has(id)).map(refresh));
  listenToTabs(load);
  followJobs((id) => hear(id));
  resumeUploads();
  render(...PARTS);
  await load();
  for (const file of LATER) import(file).catch(() => {});
}

begin().catch((error) => {
  document.body.dataset.view ??= "products";
  const signed = error.status === 401 || error.status === 403;
  fill(document.getElementById("notice"), h("p", { role: "alert" }, icon("warning"), signed ? t("signed_out") : error.message || t("offline")),
    !signed && button({ text: t("retry"), kind: "small", onclick: () => location.reload() }));
});
