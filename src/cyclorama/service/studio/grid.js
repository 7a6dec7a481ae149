// What has been made: products × canvases × candidates, as large as they fit, filled in as they come?

import { imagePreview, imageThumbnail, save } from "./api.js";
import { measure } from "./channels.js";
import { button, fill, h, icon, segments, typing } from "./dom.js";
import { addImages, cancel, decide, findImage, isOpen, retry, tellLook, tellProgress } from "./jobs.js";
import { tellGate } from "./gate.js";
import { change, looking, onRender, render, server, state } from "./state.js";
import { tryTo } from "./toast.js";
import { formatTime, t } from "./words.js";

const openViewer = async (...values) => (await import("./viewer.js")).openViewer(...values);

const FILTERS = {
  all: () => true,
  open: (image) => image.state === "done" && image.decision === "open",
  approved: (image) => image.decision === "approved",
  rejected: (image) => image.decision === "rejected",
};

/** Runs, newest first: a job, those that go on with it, and rows of images of one product. */
function buildRuns() {
  return state.jobs.filter(({ under }) => !under).map(({ id }) => {
    const jobs = [id, ...state.jobs.filter(({ under }) => under === id).map((job) => job.id).reverse()].map((one) => server.jobs.get(one)).filter(Boolean);
    const rows = new Map();
    for (const job of jobs)
      for (const image of job.images) {
        const { image: photo } = job.request.items[image.item];
        if (!rows.has(photo)) rows.set(photo, { photo, name: image.name, images: [] });
        if (FILTERS[looking.filter](image)) rows.get(photo).images.push(image);
      }
    return { id, jobs, rows: [...rows.values()].filter(({ images }) => images.length) };
  });
}

/** All images that the grid shows and that are made, in its order. */
export const listShown = () => buildRuns().flatMap(({ rows }) => rows.flatMap(({ images }) => images.filter(({ state: made }) => made === "done")));

function drawCell(job, image) {
  const asset = state.products.find(({ asset: id }) => id === job.request.items[image.item].image);
  const [width, height] = image.width ? [image.width, image.height] : measure(job.request.settings.outputs[image.output] ?? "source", asset?.width, asset?.height);
  const chosen = looking.chosen.has(image.id);
  const done = image.state === "done";
  const label = t("image.label", { name: image.name, size: `${width} × ${height}`, n: image.candidate, state: t(done ? `decision.${image.decision}` : `state.${image.state}`) });
  return h("li", { class: `cell ${image.state} ${image.decision}`, key: image.id, style: { "--ratio": `${width} / ${height}`, "--share": width / height } },
    h("button", { type: "button", class: "cell-image", "data-image": image.id, "aria-label": label, disabled: !done, onclick: () => openViewer(image.id, listShown) },
      done ? h("img", { alt: "", src: imageThumbnail(image.id), loading: "lazy" })
        : [image.preview && h("img", { class: "early", alt: "", src: imagePreview(image.id) }), drawWaiting(image)]),
    done && h("button", { type: "button", class: "choose", "aria-pressed": String(chosen), "aria-label": t("image.choose", { name: image.name, n: image.candidate }), onclick: () => toggle(image.id) }, chosen && icon("approve")),
    h("p", { class: "cell-text" }, h("span", { class: "soft" }, `${width} × ${height}`), tellVerdict(image)));
}

function drawWaiting(image) {
  if (image.state === "failed") return h("span", { class: "cell-note problem" }, icon("warning"), h("span", {}, image.error?.detail ?? t("state.failed")));
  if (image.state === "cancelled") return h("span", { class: "cell-note soft" }, t("state.cancelled"));
  const share = image.steps ? image.step / image.steps : 0;
  return h("span", { class: "cell-note soft" }, t(`state.${image.state}`),
    image.state === "running" && h("span", { class: `bar ${share ? "" : "unknown"}` }, h("span", { style: { width: `${100 * share}%` } })));
}

function tellVerdict(image) {
  if (image.decision !== "open") return h("span", { class: `verdict ${image.decision}` }, icon(image.decision === "approved" ? "approve" : "reject"), t(`decision.${image.decision}`));
  if (image.gate && !image.gate.passed) return h("span", { class: "verdict warn", title: tellGate(image.gate) }, icon("warning"), tellGate(image.gate));
  return null;
}

function toggle(id) {
  if (!looking.chosen.delete(id)) looking.chosen.add(id);
  render("images");
}

function drawRun({ id, jobs, rows }) {
  const [job] = jobs;
  if (!job) return h("section", { class: "run", key: id }, h("p", { class: "soft" }, t("loading")));
  const open = jobs.filter(isOpen);
  const failed = jobs.filter(({ counts, state: now }) => counts.failed && now !== "running" && now !== "queued");
  const total = jobs.reduce((sum, { counts }) => sum + Object.values(counts).reduce((a, b) => a + b), 0);
  const made = jobs.reduce((sum, { counts }) => sum + counts.done + counts.failed, 0);
  return h("section", { class: "run", key: id, "aria-label": t("run.title", { time: formatTime(job.created) }) },
    h("header", { class: "run-head" },
      h("div", {}, h("h2", {}, tellLook(job)), h("p", { class: "soft" }, `${formatTime(job.created)} · ${tellProgress(jobs)}`)),
      h("div", { class: "run-buttons" },
        open.length > 0 && button({ text: t("cancel"), kind: "small", onclick: tryTo(() => Promise.all(open.map((one) => cancel(one.id)))) }),
        failed.length > 0 && button({ text: t("retry"), icon: "retry", kind: "small", onclick: tryTo(() => Promise.all(failed.map((one) => retry(one.id)))) }),
        !open.length && made > 0 && button({ text: t("download.all"), icon: "download", kind: "small", onclick: () => jobs.forEach((one) => save(`/v1/jobs/${one.id}/archive.zip`)) })),
      open.length > 0 && h("progress", { max: total, value: made, "aria-label": t("run.progress") })),
    rows.map((row) => h("div", { class: "product-row", key: row.photo },
      h("h3", {}, row.name, row.images[0].category && h("span", { class: "soft" }, ` · ${row.images[0].category}`)),
      h("ul", { class: "cells" }, row.images.map((image) => drawCell(server.jobs.get(image.job), image)),
        !open.length && looking.filter === "all" && h("li", { class: "cell more", key: "more" }, button({ text: t("image.four"), icon: "add", kind: "quiet", label: t("image.four.label", { name: row.name }), onclick: tryTo(() => addImages(server.jobs.get(row.images[0].job), row.images[0])) }))))));
}

function drawBar() {
  const ids = [...looking.chosen];
  return h("div", { class: "choice", role: "toolbar", "aria-label": t("choice.title") },
    h("p", {}, t("choice.count", { n: ids.length })),
    button({ text: t("compare"), label: t("compare"), icon: "compare", kind: "quiet", disabled: ids.length !== 2, onclick: () => openViewer(ids[0], listShown, ids[1]) }),
    button({ text: t("approve"), label: t("approve"), icon: "approve", kind: "quiet", onclick: tryTo(() => decide(ids, "approved")) }),
    button({ text: t("reject"), label: t("reject"), icon: "reject", kind: "quiet", onclick: tryTo(() => decide(ids, "rejected")) }),
    button({ text: t("download"), label: t("download"), icon: "download", kind: "quiet", onclick: () => save(ids.length > 1 ? `/v1/images/archive.zip?images=${ids}` : `/v1/images/${ids[0]}/file`) }),
    button({ icon: "close", label: t("choice.clear"), kind: "quiet", onclick: () => {
      looking.chosen.clear();
      render("images");
    } }));
}

onRender("images", () => {
  const main = document.getElementById("images");
  if (!state.jobs.length)
    return fill(main, h("div", { class: "empty" }, icon("images"), h("h1", {}, t("images.none")), h("p", { class: "soft" }, t("images.none.hint"))));
  const runs = buildRuns();
  main.style.setProperty("--cell", `${state.cell}px`);
  fill(main, h("h1", { class: "hidden" }, t("nav.images")),
    h("div", { class: "grid-top" },
      segments(t("filter"), Object.keys(FILTERS).map((name) => [name, t(`filter.${name}`)]), looking.filter, (filter) => {
        looking.filter = filter;
        render("images");
      }),
      h("label", { class: "cell-size" }, h("span", { class: "hidden" }, t("grid.size")), icon("images"),
        h("input", { type: "range", min: 140, max: 560, value: state.cell, oninput: (event) => change({ cell: Number(event.target.value) }, "images") }))),
    runs.map(drawRun),
    runs.every(({ rows, jobs }) => jobs.length && !rows.length) && h("p", { class: "empty soft", key: "none" }, t("filter.nothing")),
    looking.chosen.size > 0 && drawBar());
});

/** Keys on an image of the grid: arrows go on, A and R decide, X chooses. */
export function listenToGrid() {
  document.getElementById("images").addEventListener("keydown", (event) => {
    const id = event.target.dataset?.image;
    if (!id || typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const cells = [...document.querySelectorAll("#images .cell-image:enabled")];
    const key = event.key.toLowerCase();
    const step = { arrowright: 1, arrowleft: -1 }[key];
    if (step) cells[cells.indexOf(event.target) + step]?.focus();
    else if (key === "arrowdown" || key === "arrowup") moveRow(cells, event.target, key === "arrowdown")?.focus();
    else if (key === "x") toggle(id);
    else if (key === "a" || key === "r") {
      const wanted = key === "a" ? "approved" : "rejected";
      const now = findImage(id).image.decision;
      tryTo(() => decide([id], now === wanted ? "open" : wanted))();
    } else return;
    event.preventDefault();
  });
}

function moveRow(cells, from, down) {
  const here = from.getBoundingClientRect();
  const middle = (box) => box.left + box.width / 2;
  const far = cells.map((cell) => ({ cell, box: cell.getBoundingClientRect() }))
    .filter(({ box }) => (down ? box.top > here.bottom - 4 : box.bottom < here.top + 4));
  const edge = down ? Math.min(...far.map(({ box }) => box.top)) : Math.max(...far.map(({ box }) => box.top));
  return far.filter(({ box }) => Math.abs(box.top - edge) < 4).sort((a, b) => Math.abs(middle(a.box) - middle(here)) - Math.abs(middle(b.box) - middle(here)))[0]?.cell;
}
