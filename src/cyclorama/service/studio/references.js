// What is followed: an image with its own product hidden, or marked by hand where none was found.

import { ServerError, assetFile, assetThumbnail, cutOut, upload } from "./api.js";
import { button, h } from "./dom.js";
import { tryTo } from "./toast.js";
import { t } from "./words.js";

/** Let one file be chosen. */
export const pickFile = (accept, take) => {
  const input = h("input", { type: "file", accept });
  input.addEventListener("change", tryTo(() => take(input.files[0])));
  input.click();
};

/** Let an image be chosen and `take` it, uploaded, with what was found of its product. */
export const pickReference = (take) => pickFile("image/*", async (file) => {
  const { id, width, height } = await upload(file);
  let cutout = null;
  try {
    cutout = await cutOut(id);
  } catch (error) {
    if (!(error instanceof ServerError) || error.status === 0) throw error; // without a product of its own nothing is hidden
  }
  take({ asset: id, name: file.name, width, height, cutout, base: cutout?.matte, strokes: [] });
});

/** A reference with its product hatched; `change(reference)` gets it mended. */
export const drawReference = (reference, change, ...more) => h("div", { class: "reference", key: reference.asset },
  h("div", { class: "reference-image" },
    h("img", { alt: t("style.reference"), src: assetThumbnail(reference.asset) }),
    reference.cutout && h("div", { class: "veil", style: { "mask-image": `url(${assetFile(reference.cutout.matte)})` } })),
  h("div", { class: "row" },
    reference.width && button({ text: t(reference.cutout ? "reference.mend" : "reference.mark"), icon: "brush", kind: "small", onclick: async () =>
      (await import("./mask.js")).openMaskEditor(reference, (cutout, strokes) => change({ ...reference, cutout, strokes })) }), more),
  h("p", { class: "soft small-text" }, t(reference.cutout ? "reference.hidden" : "reference.whole")));
