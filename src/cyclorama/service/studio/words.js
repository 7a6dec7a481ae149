// In which language does the page speak, and how are its sentences, numbers and times written?

import { get } from "./api.js";

const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", zh: "中文" };

let words = {};
let language = "en";
let plurals = new Intl.PluralRules("en");

export const languages = Object.entries(LANGUAGES);
export const getLanguage = () => language;

/** Load the words of `chosen`, or of the first language of the browser that there is. */
export async function loadWords(chosen) {
  const wanted = [chosen, ...navigator.languages].map((tag) => String(tag).slice(0, 2));
  const found = wanted.find((tag) => tag in LANGUAGES) ?? "en";
  words = await get(`/studio/words/${found}.json`);
  language = found;
  plurals = new Intl.PluralRules(language);
  document.documentElement.lang = language;
  document.documentElement.dir = words.direction;
}

/**
 * The sentence of `key` with `values` in its {places}. A sentence with forms takes the one that suits
 * `values.n`; numbers are written as the language writes them.
 */
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === "object") text = text[plurals.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? formatNumber(values[name]) : (values[name] ?? ""),
  );
}

/** Whether there is a sentence of `key`. */
export const says = (key) => key in words;

export const formatNumber = (value, digits = 2) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

/** An ISO time as day and time of day. */
export const formatTime = (iso) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));

/** Seconds as words, rounded so that they do not flicker. */
export function formatSeconds(seconds) {
  const [value, unit] = seconds < 90 ? [seconds < 10 ? Math.ceil(seconds) : Math.ceil(seconds / 5) * 5, "second"]
    : seconds < 5400 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 360) / 10, "hour"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value);
}
