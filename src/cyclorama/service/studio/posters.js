// Which posters are wanted, with which words, and what has come of it?

import { assetFile, assetThumbnail, imageThumbnail, save, startJob } from "./api.js";
import { button, fill, h, icon, segments } from "./dom.js";
import { cancel, describeItem, findImage, findLook, getReady, isOpen, refresh, retry, tellProgress } from "./jobs.js";
import { openPoster, tellFault } from "./poster.js";
import { change, looking, onRender, render, server, state } from "./state.js";
import { tryTo } from "./toast.js";
import { formatTime, getLanguage, t } from "./words.js";

/** Name of a canvas, its width and height, and the word for it. */
const SIZES = [["square", 1080, 1080, "square"], ["portrait", 1080, 1350, "instagram"], ["story", 1080, 1920, "story"],
  ["banner", 1200, 628, "facebook"], ["marketplace", 1600, 1600, "shop"], ["a4", 2551, 3579, "a4"]];
const ROLES = ["headline", "subline", "price", "action", "body", "legal"];
const LONG = ["body", "legal"];
const LANGUAGES = ["en", "de", "es", "zh", "fr", "it", "nl", "pl", "pt", "tr", "ja", "ko", "ar", "he", "hi"];

const get = () => ({ texts: { [getLanguage()]: {} }, sizes: ["square"], left: [], images: [], brand: null, jobs: [], ...state.poster });
const set = (values) => change({ poster: { ...get(), ...values } }, "posters");
export const nameLanguage = (code) => new Intl.DisplayNames(getLanguage(), { type: "language" }).of(code);

/** A product as an image of it shows it, in that image's style. */
const followImage = (key, { job, image }) => ({ key, name: image.name, image: imageThumbnail(image.id), describe: async () => {
  const look = await findLook(job, image).catch(() => ({})); // a learned model's image has none that could be followed
  return { ...job.request.items[image.item], seed: null, ...(look.kind === "style" && { style: look.style.asset }) };
} });

/** What can be advertised: images that were brought here, products, and those of approved images that are not among them. */
function listSubjects() {
  const subjects = get().images.map((id) => [id, findImage(id)]).filter(([, { image }]) => image).map(([id, found]) => followImage(id, found));
  subjects.push(...getReady().map((product) => ({
    key: product.asset, name: product.name, image: assetThumbnail(product.asset), mask: product.cutout.matte, describe: () => describeItem(product),
  })));
  for (const job of server.jobs.values())
    for (const image of job.images.filter(({ decision, poster }) => decision === "approved" && !poster)) {
      const { image: key } = job.request.items[image.item];
      if (!subjects.some((one) => one.key === key)) subjects.push(followImage(key, { job, image }));
    }
  return subjects;
}

/** Bring an image here: a poster of its product, in its style and size. */
export function advertise({ id, width, height }) {
  const [size] = SIZES.find(([, ...sides]) => String(sides.slice(0, 2)) === String([width, height])) ?? get().sizes;
  set({ images: [id, ...get().images.filter((one) => one !== id)], left: listSubjects().map(({ key }) => key).filter((key) => key !== id), sizes: [size] });
  location.hash = "posters";
}

const listChosen = () => listSubjects().filter(({ key }) => !get().left.includes(key));
const listSaid = (texts) => ROLES.filter((role) => Object.values(texts).some((words) => words[role]?.trim()));

/** Languages that lack words which another has. */
const listLacking = (texts) => Object.keys(texts).filter((code) => listSaid(texts).some((role) => !texts[code][role]?.trim()));

const make = tryTo(async () => {
  const { texts, sizes, brand } = get();
  const said = listSaid(texts);
  const items = await Promise.all(listChosen().map(({ describe }) => describe()));
  const words = Object.fromEntries(Object.entries(texts).map(([code, own]) => [code, Object.fromEntries(said.map((role) => [role, own[role].trim()]))]));
  const job = await startJob({ items, poster: { texts: words, sizes }, lane: "interactive", ...(state.model && { model: state.model }), ...(brand && { brand }) });
  server.jobs.set(job.id, job);
  set({ jobs: [job.id, ...get().jobs] });
  document.getElementById("posters-made").scrollIntoView({ behavior: "smooth", block: "start" });
});

const section = (name, ...children) => h("section", { class: "section", key: name, "aria-labelledby": `poster-${name}` },
  h("h2", { id: `poster-${name}` }, t(`posters.${name}`)), children);

function drawSubjects() {
  const subjects = listSubjects();
  const { left } = get();
  return section("products", subjects.length
    ? h("ul", { class: "subjects" }, subjects.map(({ key, name, image, mask }) => h("li", { key }, h("button", { type: "button", class: "subject", "aria-label": name, title: name,
      "aria-pressed": String(!left.includes(key)), onclick: () => set({ left: left.includes(key) ? left.filter((one) => one !== key) : [...left, key] }) },
    h("img", { alt: "", src: image, style: mask ? { "mask-image": `url(${assetFile(mask)})` } : {} }), !left.includes(key) && h("span", { class: "badge" }, icon("approve"))))))
    : h("a", { class: "button", href: "#products" }, icon("add"), h("span", {}, t("posters.add"))));
}

function drawWords() {
  const { texts } = get();
  const codes = Object.keys(texts);
  const now = codes.includes(looking.language) ? looking.language : codes[0];
  const field = (role) => h("label", { class: "field", key: `${now}-${role}` }, h("span", {}, t(`role.${role}`)),
    h(LONG.includes(role) ? "textarea" : "input", { class: "input", dir: "auto", lang: now, rows: 2, maxlength: 1000, value: texts[now][role] ?? "", name: role, placeholder: t(`role.${role}.hint`),
      oninput: (event) => set({ texts: { ...get().texts, [now]: { ...get().texts[now], [role]: event.target.value } } }) }));
  const open = (code) => {
    looking.language = code;
    render("posters");
  };
  return section("words",
    h("div", { class: "row" },
      segments(t("posters.languages"), codes.map((code) => [code, nameLanguage(code)]), now, open),
      h("select", { class: "select small", "aria-label": t("posters.language.add"), onchange: (event) => {
        looking.language = event.target.value;
        set({ texts: { ...texts, [event.target.value]: {} } });
        event.target.value = "";
      } }, h("option", { value: "", selected: true }, t("posters.language.add")), LANGUAGES.filter((code) => !codes.includes(code)).map((code) => h("option", { value: code }, nameLanguage(code)))),
      codes.length > 1 && button({ icon: "close", kind: "quiet small", label: t("posters.language.remove", { name: nameLanguage(now) }), onclick: () => {
        const { [now]: gone, ...rest } = texts;
        set({ texts: rest });
      } })),
    ROLES.filter((role) => !LONG.includes(role)).map(field),
    h("details", { key: "long", open: LONG.some((role) => texts[now][role]) }, h("summary", {}, t("posters.more")), LONG.map(field)),
    h("p", { class: "soft small-text" }, t(codes.length > 1 ? "posters.shared" : "posters.words.hint")));
}

function drawSizes() {
  const { sizes } = get();
  return section("sizes", h("div", { class: "sizes" }, SIZES.map(([name, width, height, word]) => h("button", { type: "button", class: "size", key: name, "aria-pressed": String(sizes.includes(name)),
    onclick: () => {
      const next = sizes.includes(name) ? sizes.filter((one) => one !== name) : [...sizes, name];
      if (next.length) set({ sizes: next });
    } },
  h("span", { class: "shape", "aria-hidden": "true", style: { width: `${(20 * width) / Math.max(width, height)}px`, height: `${(20 * height) / Math.max(width, height)}px` } }),
  h("span", {}, h("b", {}, t(`sizes.${word}`)), h("small", {}, `${width} × ${height}`))))));
}

function drawBrand() {
  if (!server.brands.length) return null;
  return section("brand", h("select", { class: "select", "aria-labelledby": "poster-brand", onchange: (event) => set({ brand: event.target.value || null }) },
    h("option", { value: "", selected: !get().brand }, t("brand.none")), server.brands.map(({ id, name }) => h("option", { value: id, selected: id === get().brand }, name))),
  h("p", { class: "soft small-text" }, t("posters.brand.hint")));
}

function drawFoot() {
  const { texts, sizes } = get();
  const [products, codes] = [listChosen().length, Object.keys(texts)];
  const lacking = listLacking(texts);
  const n = products * sizes.length * codes.length;
  const why = !products ? t("panel.empty") : !listSaid(texts).length ? t("posters.wordless") : lacking.length ? t("posters.lacking", { name: lacking.map(nameLanguage).join(", ") })
    : [t("count.products", { n: products }), t("count.sizes", { n: sizes.length }), t("posters.count", { n: codes.length })].join(" × ");
  const ready = products && listSaid(texts).length && !lacking.length;
  return h("div", { class: "poster-foot" }, h("p", { class: "sum", role: "status" }, why),
    button({ text: n ? t("posters.make", { n }) : t("posters.make.none"), kind: "primary large", disabled: !ready, onclick: make }));
}

function drawCell(job, image) {
  const [, width, height] = SIZES.find(([name]) => name === job.request.poster.sizes[image.output]) ?? [0, image.width ?? 1, image.height ?? 1];
  const done = image.state === "done";
  const code = image.poster?.language ?? Object.keys(job.request.poster.texts)[image.candidate - 1];
  const faults = Object.entries(image.poster?.faults ?? {});
  const label = t("posters.label", { name: image.name, size: `${width} × ${height}`, language: nameLanguage(code), state: t(done ? `decision.${image.decision}` : `state.${image.state}`) });
  return h("li", { class: `cell ${image.state} ${image.decision}`, key: image.id, style: { "--ratio": `${width} / ${height}`, "--share": width / height } },
    h("button", { type: "button", class: "cell-image", "data-image": image.id, "aria-label": label, disabled: !done, onclick: () => edit(image.id) },
      done ? h("img", { alt: "", src: imageThumbnail(image.id), loading: "lazy" })
        : h("span", { class: `cell-note ${image.state === "failed" ? "problem" : "soft"}` }, image.state === "failed" ? image.error?.detail ?? t("state.failed") : t(`state.${image.state}`),
          image.state === "running" && h("span", { class: "bar unknown" }, h("span", {})))),
    h("p", { class: "cell-text" }, h("span", { class: "soft" }, `${width} × ${height} · ${code.toUpperCase()}`),
      image.decision !== "open" ? h("span", { class: `verdict ${image.decision}` }, icon(image.decision === "approved" ? "approve" : "reject"), t(`decision.${image.decision}`))
        : faults.length > 0 && h("span", { class: "verdict warn", title: faults.map(([, why]) => why).join("; ") }, icon("warning"), tellFault(faults[0][0]))));
}

/** Open the editor; what it keeps is shown beside what it was made of. */
const edit = (id) => openPoster(findImage(id), nameLanguage, async (made) => {
  await refresh(made.job);
  return findImage(made.id);
}, () => document.querySelector(`[data-image="${id}"]`)?.focus());

function drawRun(id) {
  const job = server.jobs.get(id);
  if (!job) return h("section", { class: "run", key: id }, h("p", { class: "soft" }, t("loading")));
  const names = new Map(job.images.map((image) => [image.item, image.name]));
  const total = Object.values(job.counts).reduce((a, b) => a + b);
  const [words] = Object.values(job.request.poster.texts);
  return h("section", { class: "run", key: id, "aria-label": t("run.title", { time: formatTime(job.created) }) },
    h("header", { class: "run-head" },
      h("div", {}, h("h2", { dir: "auto" }, Object.values(words)[0]), h("p", { class: "soft" }, `${formatTime(job.created)} · ${tellProgress([job])}`)),
      h("div", { class: "run-buttons" },
        isOpen(job) && button({ text: t("cancel"), kind: "small", onclick: tryTo(() => cancel(id)) }),
        !isOpen(job) && job.counts.failed > 0 && button({ text: t("retry"), icon: "retry", kind: "small", onclick: tryTo(() => retry(id)) }),
        !isOpen(job) && job.counts.done > 0 && button({ text: t("download.all"), icon: "download", kind: "small", onclick: () => save(`/v1/jobs/${id}/archive.zip`) }),
        button({ text: t("posters.again"), icon: "history", kind: "small", onclick: () => set({ texts: job.request.poster.texts, sizes: job.request.poster.sizes, brand: job.request.brand }) })),
      isOpen(job) && h("progress", { max: total, value: job.counts.done + job.counts.failed, "aria-label": t("run.progress") })),
    [...names].map(([item, name]) => h("div", { class: "product-row", key: String(item) }, h("h3", {}, name),
      h("ul", { class: "cells" }, job.images.filter((image) => image.item === item).map((image) => drawCell(job, image))))));
}

/** Draw the screen, now and whenever something of it has changed. */
export function draw() {
  if (looking.view !== "posters") return;
  const main = document.getElementById("posters");
  main.style.setProperty("--cell", `${state.cell}px`);
  const { jobs } = get();
  fill(main,
    h("div", { id: "posters-made", class: "poster-made", key: "made" }, h("h1", { class: "hidden" }, t("nav.posters")),
      jobs.length > 0 && button({ text: t("posters.words"), icon: "poster", kind: "phone-only", onclick: () => document.querySelector(".poster-form").scrollIntoView() }),
      jobs.length ? jobs.map(drawRun) : h("div", { class: "empty" }, icon("poster"), h("h1", {}, t("posters.none")), h("p", { class: "soft" }, t("posters.none.hint")))),
    h("div", { class: "poster-form", key: "form" }, h("div", { class: "poster-fields" }, drawSubjects(), drawWords(), drawSizes(), drawBrand()), drawFoot()));
}

for (const part of ["posters", "products", "images", "panel"]) onRender(part, draw);
