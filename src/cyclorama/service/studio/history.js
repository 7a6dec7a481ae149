// Which jobs were there, and how does one go on with them?

import { get, imageThumbnail } from "./api.js";
import { button, fill, h } from "./dom.js";
import { isLook, tellLook, tellProgress, useSettings } from "./jobs.js";
import { change, looking, onRender, render, server, state } from "./state.js";
import { toast, tryTo } from "./toast.js";
import { formatTime, t } from "./words.js";

const SHOWN = 6;
const history = { jobs: [], next: null, loaded: false };

/** Load the newest jobs, or those that come after the loaded ones. */
export async function loadHistory(more = false) {
  const page = await get(`/v1/jobs?limit=20${more ? `&after=${history.next}` : ""}`);
  const jobs = await Promise.all(page.items.map(({ id }) => server.jobs.get(id) ?? get(`/v1/jobs/${id}`)));
  Object.assign(history, { jobs: more ? [...history.jobs, ...jobs] : jobs, next: page.next, loaded: true });
  render("history");
}

/** Have the screen of posters take up `values`. */
function goToPosters(values) {
  change({ poster: { ...state.poster, ...values } }, "posters");
  location.hash = "posters";
}

function show(job) {
  server.jobs.set(job.id, job);
  if (job.request.poster) return goToPosters({ jobs: [job.id, ...(state.poster?.jobs ?? []).filter((id) => id !== job.id)] });
  if (!state.jobs.some(({ id }) => id === job.id)) change({ jobs: [{ id: job.id }, ...state.jobs] }, "images", "nav");
  looking.filter = "all";
  location.hash = "images";
}

function drawJob(job) {
  const made = job.images.filter((image) => image.state === "done");
  const approved = job.images.filter(({ decision }) => decision === "approved").length;
  return h("li", { class: "past", key: job.id },
    h("div", { class: "past-images" }, made.slice(0, SHOWN).map((image) => h("img", { alt: "", src: imageThumbnail(image.id), loading: "lazy", key: image.id })),
      made.length > SHOWN && h("span", { class: "soft" }, `+${made.length - SHOWN}`)),
    h("div", { class: "past-text" }, h("h2", {}, tellLook(job)),
      h("p", { class: "soft" }, [formatTime(job.created), t("count.products", { n: job.items }), tellProgress([job]), approved && t("history.approved", { n: approved })].filter(Boolean).join(" · ")),
      h("div", { class: "row" },
        button({ text: t("history.open"), kind: "small", onclick: () => show(job) }),
        button({ text: t("history.use"), kind: "small quiet", onclick: () => {
          if (job.request.poster) return goToPosters({ texts: job.request.poster.texts, sizes: job.request.poster.sizes, brand: job.request.brand });
          useSettings(job);
          toast(t("history.used"));
          location.hash = "products";
        } }))));
}

onRender("history", () => {
  if (looking.view !== "history") return;
  fill(document.getElementById("history"), h("h1", {}, t("nav.history")),
    !history.loaded ? h("p", { class: "soft" }, t("loading"))
      : history.jobs.length ? h("ul", { class: "pasts" }, history.jobs.filter((job) => !isLook(job)).map(drawJob)) : h("p", { class: "soft" }, t("history.none")),
    history.next && button({ text: t("history.more"), onclick: tryTo(() => loadHistory(true)) }));
});
