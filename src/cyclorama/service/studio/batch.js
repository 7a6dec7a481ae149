// How does a table of products become images: columns, check, run, failures?

import { get, save, send, sendFile, upload } from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { describeLook, describeOrder } from "./jobs.js";
import { change, looking, onRender, render, server, state } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { formatNumber, formatSeconds, formatTime, t } from "./words.js";

const FIELDS = ["image", "mask", "category", "id", "seed", "reference"];
const TABLE = /\.(csv|tsv|txt|jsonl?|ndjson|parquet|xlsx|xml)$/i;
const ZIP = /\.zip$/i;
const BUSY = ["checking", "queued", "running"];
const SHOWN = 100;
const MADE = 48;
const view = { list: null, failed: [], made: [], working: false };
const path = (end = "") => `/v1/batches/${state.batch.id}${end}`;
const draw = () => render("batch");
const isBusy = (batch) => BUSY.includes(batch.state);

/** Take files that are a table, or belong to the one that is open; say whether they were. */
export function takeFiles(files) {
  const tables = files.filter(({ name }) => TABLE.test(name));
  if (!tables.length && !files.some(({ name }) => ZIP.test(name)) && looking.view !== "batch") return false;
  add(tables[0], files.filter((file) => file !== tables[0]));
  return true;
}

const add = tryTo(async (table, files) => {
  view.working = true;
  draw();
  try {
    if (table || !state.batch) {
      const made = await (table ? sendFile("/v1/batches", table, "table") : send("POST", "/v1/batches"));
      change({ batch: { id: made.id } });
    }
    for (const zip of files.filter(({ name }) => ZIP.test(name))) await sendFile(path("/files"), zip);
    const images = files.filter(({ name }) => !ZIP.test(name));
    for (let k = 0; k < images.length; k += SHOWN) {
      const named = {};
      for (const file of images.slice(k, k + SHOWN)) named[(file.webkitRelativePath || file.name).replace(/^[^/]*\/(?=.)/, "")] = (await upload(file)).id;
      await send("POST", path("/files"), { files: named });
    }
    await load();
  } finally {
    view.working = false;
    draw();
  }
});

/** Ask for the batch that is open, else for the list of all. */
export async function load() {
  if (state.batch) {
    try {
      server.batch = await get(path());
      const { done, failed } = server.batch.counts;
      const list = async (status, limit) => (await get(path(`/rows?status=${status}&limit=${limit}`))).items;
      Object.assign(view, { failed: failed ? await list("failed", SHOWN) : [], made: done && !isBusy(server.batch) ? await list("done", MADE) : [] });
    } catch (error) {
      if (error.status !== 404) throw error;
      change({ batch: null });
    }
  }
  if (!state.batch) view.list = (await get("/v1/batches")).items;
  draw();
}

let due = null;

/** Hear what happens to a batch; without an id, that something may have happened unheard. */
export function hear(id = state.batch?.id) {
  if (!id || id !== state.batch?.id || due) return;
  due = setTimeout(() => {
    due = null;
    load();
  }, 300);
}

/** What this page says of columns or category words, else what the batch was last asked with. */
const said = (name) => state.batch[name] ?? server.batch.request[name] ?? {};

const describe = () => ({ ...describeLook(), ...describeOrder(), columns: said("columns"), aliases: said("aliases") });

const ask = (act, values) => tryTo(async () => {
  server.batch = await send("POST", path(`/${act}`), values?.());
  draw();
});

const open = (id) => {
  change({ batch: id && { id } });
  server.batch = null;
  tryTo(load)();
};

const setBatch = (values) => change({ batch: { ...state.batch, ...values } }, "batch");

const pick = (attributes) => {
  const input = h("input", { type: "file", multiple: true, ...attributes });
  input.addEventListener("change", () => add([...input.files].find(({ name }) => TABLE.test(name)), [...input.files].filter(({ name }) => !TABLE.test(name))));
  input.click();
};

function drawList() {
  return [h("div", { class: "drop first", key: "drop" }, h("h1", {}, t("batch.welcome")), h("p", { class: "soft" }, t("batch.hint")),
    button({ text: t(view.working ? "products.uploading" : "batch.choose"), icon: "add", kind: "primary", disabled: view.working, onclick: () => pick({}) })),
  view.list?.length > 0 && h("ul", { class: "pasts", key: "list" }, view.list.map((batch) => h("li", { class: "past", key: batch.id },
    h("div", { class: "past-text" }, h("h3", {}, batch.table.name ?? t("batch.photos")),
      h("p", { class: "soft" }, [formatTime(batch.created), t("batch.rows", { n: batch.table.rows }), tell(batch)].join(" · "))),
    button({ text: t("history.open"), kind: "small", onclick: () => open(batch.id) }))))];
}

/** How far a batch is, in words. */
function tell({ state: now, counts, seconds_left, table }) {
  if (now === "open") return t("decision.open");
  if (now === "checking") return t("batch.checking");
  if (now === "queued") return t("state.queued");
  const { done, failed } = counts;
  const rows = counts.rows || table.rows;
  if (now === "running") return t(seconds_left ? "job.left" : "job.progress", { n: done + failed, total: rows, time: formatSeconds(seconds_left ?? 0) });
  return [now === "cancelled" && t("state.cancelled"), t(failed ? "job.failed" : "job.done", { n: done, total: rows, failed })].filter(Boolean).join(" · ");
}

function drawColumns({ table }) {
  const own = said("columns");
  const found = Object.fromEntries(Object.entries(table.fields).flatMap(([field, columns]) => columns.map((column) => [column, field])));
  const fieldOf = (column) => FIELDS.find((field) => own[field] === column) ?? (FIELDS.includes(found[column]) && !own[found[column]] ? found[column] : "");
  const choose = (column, field) => {
    const columns = Object.fromEntries(Object.entries(own).filter(([, one]) => one !== column));
    setBatch({ columns: field ? { ...columns, [field]: column } : columns });
  };
  return h("div", { class: "sheet", tabindex: 0, role: "region", "aria-label": t("batch.columns") }, h("table", {},
    h("thead", {}, h("tr", {}, table.columns.map((column) => h("th", { scope: "col", key: column, class: fieldOf(column) && "used" }, h("span", {}, column),
      h("select", { class: "select small", "aria-label": t("batch.column", { name: column }), onchange: (event) => choose(column, event.target.value) },
        ["", ...FIELDS].map((field) => h("option", { value: field, selected: fieldOf(column) === field }, t(`field.${field || "none"}`)))))))),
    h("tbody", {}, table.sample.map((row) => h("tr", {}, table.columns.map((column) => h("td", {}, row[column] ?? "")))))));
}

const drawRows = (rows) => h("ul", { class: "sheet faults", tabindex: 0, "aria-label": t("batch.failures") }, rows.map(([row, name, reason]) =>
  h("li", { key: row }, h("span", { class: "soft" }, formatNumber(row)), h("span", {}, name), h("span", { class: "problem" }, reason.replace(/^row \d+( \(line \d+\))?: /, "")))));

const drawMade = ({ row, name }) => h("li", { key: row }, h("img", { alt: name, title: name, src: path(`/rows/${row}/image`), loading: "lazy" }));

function drawCheck({ check }) {
  const aliases = said("aliases");
  const faults = check.faults.flatMap(({ examples }) => examples.map(({ row, name, reason }) => [row, name, reason]));
  const unknown = check.categories.filter(({ used }) => !used);
  return [
    h("p", { class: check.problems ? "warn" : "good" }, icon(check.problems ? "warning" : "approve"), h("span", {}, t("batch.problems", { n: check.problems }))),
    faults.length > 0 && drawRows(faults),
    unknown.map(({ given, rows }) => h("label", { class: "row", key: given }, h("span", {}, `${given} (${formatNumber(rows)})`),
      h("select", { class: "select small", onchange: (event) => setBatch({ aliases: { ...aliases, [given]: event.target.value } }) },
        h("option", { value: "" }, "–"), server.categories.map(({ name }) => h("option", { value: name, selected: aliases[given] === name }, name))))),
    h("p", {}, [t("job.done", { n: check.images }), t("panel.about", { time: formatSeconds(check.seconds) }), t("batch.disk", { mb: formatNumber(check.bytes / 1e6, 1), free: formatNumber(check.free_bytes / 1e9, 0) })].join(" · ")),
  ];
}

function drawBatch(batch) {
  const busy = isBusy(batch);
  const { counts, check } = batch;
  const working = batch.state === "queued" || batch.state === "running";
  return [
    h("header", { class: "run-head", key: "head" },
      h("div", {}, h("h1", {}, batch.table.name ?? t("batch.photos")), h("p", { class: "soft" }, [t("batch.rows", { n: batch.table.rows }), t("batch.files", { n: batch.files }), tell(batch)].join(" · "))),
      h("div", { class: "run-buttons" },
        button({ text: t("back"), icon: "back", kind: "small quiet", onclick: () => open(null) }),
        !busy && button({ text: t(view.working ? "products.uploading" : "batch.add"), icon: "add", kind: "small", disabled: view.working, onclick: () => pick({ accept: "image/*,.zip" }) }),
        counts.done > 0 && !busy && button({ text: t("download.all"), icon: "download", kind: "small", onclick: () => save(path("/archive.zip")) }))),
    batch.state === "running" && h("progress", { key: "progress", max: counts.rows || batch.table.rows, value: counts.done + counts.failed, "aria-label": t("run.progress") }),
    batch.table.columns.length > 0 && !counts.rows && !working && drawColumns(batch),
    batch.error && h("p", { class: "problem", role: "alert", key: "error" }, batch.error.detail),
    check && !counts.rows && !working && h("section", { class: "section", key: "check" }, drawCheck(batch)),
    view.failed.length > 0 && h("section", { class: "section", key: "failed" }, drawRows(view.failed.map(({ row, name, reason }) => [row + 1, name, reason]))),
    view.made.length > 0 && h("ul", { class: "made", key: "made" }, view.made.map(drawMade)),
    h("div", { class: "row batch-acts", key: "acts" },
      busy ? button({ text: t("cancel"), onclick: ask("cancel") }) : [
        button({ text: t("batch.check"), kind: check || counts.rows ? "" : "primary", onclick: ask("check", describe) }),
        button({ text: t("panel.make.none"), kind: check && !counts.rows ? "primary" : "", onclick: ask("run", describe) }),
        counts.failed > 0 && button({ text: t("retry"), icon: "retry", kind: "primary", onclick: ask("retry") })]),
  ];
}

onRender("batch", () => {
  if (looking.view !== "batch") return;
  const batch = server.batch;
  fill(document.getElementById("batch"), !state.batch ? drawList() : batch?.id === state.batch.id ? drawBatch(batch) : h("p", { class: "soft" }, t("loading")));
});
