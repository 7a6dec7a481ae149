// What is a job asked for, and what has come of it?

import { cancelJob, decide as tellServer, get, getText, retryJob, startJob, upload } from "./api.js";
import { listen } from "./events.js";
import { change, onRender, render, server, state } from "./state.js";
import { formatSeconds, t } from "./words.js";

const LOOKS = 8;
const LOOK_SIZE = "320x400";

/** Products that can go into a job. */
export const getReady = () => state.products.filter(({ cutout }) => cutout);

/** How many images the panel asks for, and the seconds they take, if that is known. */
export function estimate() {
  const images = getReady().length * state.sizes.length * state.candidates;
  const seconds = server.presets.find(({ name }) => name === state.preset)?.seconds;
  return { images, seconds: seconds ? seconds * images : null };
}

/** What the panel says of all products alike. */
export function describeLook() {
  const { look } = state;
  const shared = {};
  if (look.category !== "auto") shared.category = look.category;
  if (look.kind === "category" && look.pick) shared.style = look.pick.asset;
  if (look.kind === "style" && look.style) shared.style = look.style.asset;
  if (look.kind === "reference" && look.reference) {
    shared.reference = look.reference.asset;
    if (look.reference.cutout) shared.reference_mask = look.reference.cutout.matte;
  }
  return shared;
}

export const describeItem = (product) => ({
  image: product.asset, name: product.name, ...describeLook(),
  ...(product.strokes.length && { mask: product.cutout.matte }), ...(product.category && { category: product.category }),
});

/** What jobs and batches are told alike. */
export const describeOrder = () => ({
  settings: { preset: state.preset, candidates: state.candidates, outputs: state.sizes, ...(state.share && { product_scale: state.share }) },
  gate: state.gate,
  ...(state.model && { model: state.model }),
  ...(state.look.kind === "brand" && state.look.brand && { brand: state.look.brand }),
});

const describeJob = () => ({ items: getReady().map(describeItem), lane: "interactive", preview: true, ...describeOrder() });

async function start(request, under) {
  const job = await startJob(request);
  server.jobs.set(job.id, job);
  change({ jobs: [{ id: job.id, under }, ...state.jobs] }, "images", "nav", "panel");
  return job;
}

/** Make what the panel says. */
export const generate = () => start(describeJob());

/** `count` further images of one product, with the job's settings and seeds of their own. */
export function addImages(job, image, count = 4) {
  const { request } = job;
  const root = getRoot(job.id);
  const before = state.jobs.filter(({ under }) => under === root).length;
  const seed = server.jobs.get(root)?.request.seed ?? request.seed; // the first's, so that none is asked for twice
  const { outputs: all } = request.settings;
  const outputs = all.length ? [all[image.output]] : [];
  return start({ ...clean(request), items: [{ ...request.items[image.item], seed: null }], seed: seed + before + 1,
    settings: { ...request.settings, outputs, candidates: count } }, root);
}

/** `count` images that share an image's style: its colours, things and light, each arranged anew. */
export async function addAlike(job, image, count = 4) {
  const look = await findLook(job, image);
  const item = { ...job.request.items[image.item], ...(look.kind === "style" && { style: look.style.asset }) };
  const items = job.request.items.map((one, number) => (number === image.item ? item : one));
  return addImages({ ...job, request: { ...job.request, items } }, image, count);
}

/** The same image with its ground made anew for the product's `box`. */
export function sampleAgain(job, image, box, scale) {
  const { request } = job;
  const [width, height] = [image.width, image.height];
  const item = { ...request.items[image.item], seed: image.seed };
  return start({ ...clean(request), items: [item], settings: { ...request.settings, margin: 0, candidates: 1, outputs: [`${width}x${height}`],
    placement: [(box.left + box.width / 2) / width, (box.top + box.height) / height].map((share) => share.toFixed(6)).join(","),
    product_scale: scale === 1 ? null : Math.max(box.width / width, box.height / height) } }, getRoot(job.id));
}

/** What the panel takes for further images in the style of this one. */
export async function findLook(job, image) {
  const { reference, reference_mask, style } = job.request.items[image.item];
  if (style) return { kind: "style", style: { asset: style, name: t("style.earlier") } };
  if (!reference) return { kind: "style", style: await keepStyle(image) };
  return { kind: "reference", reference: { asset: reference, name: t("style.earlier"), cutout: reference_mask ? { matte: reference_mask, warnings: [] } : null } };
}

/** The style of an image as a file that other products can follow. */
export async function keepStyle(image) {
  const name = `${image.category} ${image.seed}`;
  const text = await getText(`/v1/images/${image.id}/style`);
  const asset = await upload(new Blob([text], { type: "application/yaml" }), `${name}.yaml`);
  return { asset: asset.id, name, image: image.id };
}

/** Eight small images of the first product, each in a style of its own. */
export async function showLooks(more = false) {
  const first = (more ? (state.look.looks?.first ?? 0) + LOOKS : 0) + 1;
  const item = describeItem(getReady()[0]);
  delete item.style;
  const job = await startJob({
    items: Array.from({ length: LOOKS }, (_, k) => ({ ...item, seed: first + k })), lane: "interactive",
    settings: { preset: "fast", outputs: [LOOK_SIZE], product_scale: state.share ?? 0.6 },
  });
  server.jobs.set(job.id, job);
  change({ look: { ...state.look, looks: { job: job.id, first: first - 1 } } }, "panel");
}

/** Whether a job only shows looks. */
export const isLook = (job) => String(job.request.settings.outputs) === LOOK_SIZE;

/** Settings of an earlier job, for the products that are here now. */
export async function useSettings(job) {
  const { settings, items, gate } = job.request;
  const [item] = items;
  const look = { ...state.look, kind: "category", category: item.category ?? "auto", pick: null };
  if (item.style || item.reference) Object.assign(look, await findLook(job, job.images[0]));
  change({ look, gate, preset: settings.preset, candidates: settings.candidates, sizes: settings.outputs.length ? settings.outputs : ["source"],
    share: settings.product_scale ?? null }, "panel");
}

const clean = (request) => ({ ...request, seed: request.seed ?? 0 });
export const getRoot = (id) => state.jobs.find((job) => job.id === id)?.under ?? id;
export const isOpen = (job) => job.state === "queued" || job.state === "running";

/** Ask the server for a job as it is now. */
export async function refresh(id) {
  try {
    server.jobs.set(id, await get(`/v1/jobs/${id}`));
  } catch (error) {
    if (error.status === 404) change({
      jobs: state.jobs.filter((job) => job.id !== id && job.under !== id),
      ...(state.poster && { poster: { ...state.poster, jobs: state.poster.jobs.filter((job) => job !== id) } }),
    }, "nav");
  }
  render("images", "panel");
}

/** Make no more of a job. */
export const cancel = (id) => cancelJob(id).then((job) => server.jobs.set(id, job) && render("images", "panel"));

/** Make a job's failed images again. */
export const retry = (id) => retryJob(id).then((job) => server.jobs.set(id, job) && render("images"));

/** The job and the image of an image's id. */
export function findImage(id) {
  for (const job of server.jobs.values()) {
    const image = job.images.find((one) => one.id === id);
    if (image) return { job, image };
  }
  return {};
}

const due = new Set();

/** Ask for jobs that have changed, not more often than the eye follows. */
function refreshSoon(id) {
  if (!due.size)
    setTimeout(() => {
      const ids = [...due];
      due.clear();
      ids.forEach(refresh);
    }, 200);
  due.add(id);
}

/** Take in what the server says of jobs; `other` hears of what else there is, without an id of anything. */
export function followJobs(other) {
  listen((event) => {
    if (event.type === "resync") [...server.jobs.keys()].forEach(refreshSoon);
    other(event.job);
    const job = server.jobs.get(event.job);
    if (!job) return;
    if (event.type === "progress") {
      const image = job.images.find(({ id }) => id === event.image);
      if (image) Object.assign(image, { state: "running", step: event.step, steps: event.steps });
      return render("images");
    }
    if (event.type === "preview") {
      const image = job.images.find(({ id }) => id === event.image);
      if (image && image.state !== "done") Object.assign(image, { state: "running", preview: true });
      return render("images");
    }
    refreshSoon(event.job);
  }, (open) => {
    server.gone = !open;
    render("notice");
    if (!open) return;
    [...server.jobs.values()].filter(isOpen).forEach(({ id }) => refreshSoon(id));
    other();
  });
}

/** A job's state in one sentence. */
export function tellProgress(jobs) {
  const sum = (name) => jobs.reduce((total, { counts }) => total + counts[name], 0);
  const [waiting, done, failed] = [sum("queued") + sum("running"), sum("done"), sum("failed")];
  const total = waiting + done + failed + sum("cancelled");
  const left = Math.max(0, ...jobs.map(({ seconds_left }) => seconds_left ?? 0));
  const made = jobs.every(({ request }) => request.poster) ? "posters.done" : "job.done";
  if (!waiting) return failed ? t("job.failed", { n: done, total, failed }) : t(made, { n: done });
  return left ? t("job.left", { n: done, total, time: formatSeconds(left) }) : t("job.progress", { n: done, total });
}

/** A job's style in words. */
export function tellLook(job) {
  const [item] = job.request.items;
  const brand = server.brands.find(({ id }) => id === job.request.brand);
  if (job.request.poster) return Object.values(Object.values(job.request.poster.texts)[0])[0];
  if (brand) return `${brand.name} ${job.request.brand_version}`;
  if (item.reference) return t("run.reference");
  if (item.style) return t("run.style");
  const names = new Set(job.request.items.map(({ category }) => (category && category !== "auto" ? category : t("category.auto"))));
  return [...names].slice(0, 3).join(", ");
}

/** Approve, reject or open images again. */
export async function decide(ids, decision, reasons = []) {
  const answers = await Promise.allSettled(ids.map((id) => tellServer(id, { decision, reasons })));
  for (const { value: image } of answers) {
    if (!image) continue;
    const { images } = server.jobs.get(image.job) ?? { images: [] };
    const at = images.findIndex(({ id }) => id === image.id);
    if (at >= 0) images[at] = image;
  }
  render("images");
  const refused = answers.find(({ reason }) => reason);
  if (refused) throw refused.reason;
}

const PAUSE = 5000;
let said = 0;
let later = 0;
onRender("images", () => {
  const open = [...server.jobs.values()].filter(isOpen);
  const now = Date.now();
  const live = document.getElementById("live");
  if (!open.length && !live.textContent) return;
  clearTimeout(later);
  if (now - said < PAUSE) {
    later = setTimeout(() => render("images"), PAUSE - (now - said));
    return;
  }
  said = now;
  live.textContent = open.length ? tellProgress(open) : t("job.ready");
});
