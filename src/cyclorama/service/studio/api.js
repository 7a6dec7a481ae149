// How does the page speak with its server?

/** A refusal of the server: `name` is the class of the error, the message its own sentence. */
export class ServerError extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || String(status));
    this.name = String(problem.type ?? "").split(":").pop() || "ServerError";
    this.status = status;
    this.field = problem.field;
  }
}

const PATIENCE = 5; // seconds that a refusal may ask to wait for
const TRIES = 60;

async function request(method, path, { body, headers = {}, signal } = {}, tries = TRIES) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError({ type: "offline", detail: "" }, 0);
  }
  if (answer.ok) return answer;
  const wait = Number(answer.headers.get("Retry-After") || Infinity);
  if (answer.status === 429 && wait <= PATIENCE && tries > 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait + 500 * Math.random()));
    return request(method, path, { body, headers, signal }, tries - 1);
  }
  throw new ServerError(await answer.json().catch(() => ({})), answer.status);
}

/** Seeds are longer than numbers here can be, so they stay text. */
const json = async (answer) => JSON.parse((await (await answer).text()).replace(/("seed":\s*)(\d{16,})/g, '$1"$2"'));
export const send = (method, path, values, key) =>
  json(request(method, path, {
    body: JSON.stringify(values ?? {}),
    headers: { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) },
  }));

export const get = (path, signal) => json(request("GET", path, { signal }));
/** The image at `path` as a bitmap of `width` × `height`. */
export const loadBitmap = async (path, width, height) =>
  createImageBitmap(await (await request("GET", path)).blob(), { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
export const getText = async (path) => (await request("GET", path)).text();

/** Send a file, as the part of a form called `part`; without a name it is a zip, sent as it is. */
export function sendFile(path, file, part, name = file.name) {
  const headers = { "Idempotency-Key": crypto.randomUUID(), ...(!part && { "Content-Type": "application/zip" }) };
  const body = part ? new FormData() : file;
  if (part) body.append(part, file, name || "image");
  return json(request("POST", path, { body, headers }));
}

/** Upload a file; equal bytes give the same asset. */
export const upload = (file, name) => sendFile("/v1/assets", file, "file", name);

/** Cut out the product of an image asset, with `strokes` drawn on its matte. */
export const cutOut = (image, strokes = []) => send("POST", "/v1/cutouts", { image, strokes });
export const startJob = (job) => send("POST", "/v1/jobs", job, crypto.randomUUID());
export const cancelJob = (id) => send("POST", `/v1/jobs/${id}/cancel`);
export const retryJob = (id) => send("POST", `/v1/jobs/${id}/retry`);
/** A new image of another's parts: {left, top, scale, shadow}, null as it is. */
export const recompose = (id, place) => send("POST", `/v1/images/${id}/recompose`, place);
/** A poster with a change {texts, boxes, language}: as it would be, and kept as a new one. */
export const draftPoster = (id, order) => send("POST", `/v1/images/${id}/poster/draft`, order);
export const editPoster = (id, order) => send("POST", `/v1/images/${id}/poster`, order, crypto.randomUUID());
/** Keep a brand kit: a new version of `id`, or a new one. */
export const keepBrand = (id, kit) => send(id ? "PATCH" : "POST", `/v1/brands${id ? `/${id}` : ""}`, kit);
export const dropBrand = (id) => request("DELETE", `/v1/brands/${id}`);
export const decide = (id, change) => send("PATCH", `/v1/images/${id}`, change);

export const assetFile = (id) => `/v1/assets/${id}/file`;
export const assetThumbnail = (id) => `/v1/assets/${id}/thumbnail`;
export const imageFile = (id) => `/v1/images/${id}/file`;
export const imagePreview = (id) => `/v1/images/${id}/preview`;
export const imageThumbnail = (id) => `/v1/images/${id}/thumbnail`;

/** Let the browser save what `address` gives. */
export function save(address, name = "") {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
