// What does the gate say of an image, in words with the value and its limit?

import { formatNumber, t } from "./words.js";

/** Its checks, as reasons for a rejection are named, too. */
export const CHECKS = ["interior", "rim", "halo", "seam", "expansion", "ghost", "doubled", "floating", "leak", "off_category"];

/** Each check that was made: {name, word, value, limit, failed}; a limit is known where the value is above it. */
export function listChecks({ values }) {
  return CHECKS.filter((name) => typeof values[name] === "number").map((name) => {
    const [, limit] = values.failures?.[name] ?? values.advice?.[name] ?? [];
    return { name, word: t(`check.${name}`), value: values[name], limit, failed: name in (values.failures ?? {}) };
  });
}

/** A check's value, with the limit that it is above. */
export const tellValue = ({ value, limit }) =>
  limit === undefined ? formatNumber(value) : t("gate.over", { value: formatNumber(value), limit: formatNumber(limit) });

/** The gate's verdict in one line. */
export function tellGate(gate) {
  if (gate.passed) return t("gate.passed");
  return listChecks(gate).filter(({ failed }) => failed).map((check) => `${check.word} ${tellValue(check)}`).join(", ") || t("gate.refused");
}
