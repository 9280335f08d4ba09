// The answer: bars of the classes, and dense beside exact beside HASTE.

import { askPatiently } from "./api.js";
import { $, amount, levelName, make, milliseconds, percent, say } from "./dom.js";

const DEADLINE_MS = 10_000; // a person waits longer than the objective of the service
const SHOWN_CLASSES = 5;
const ROWS = [
  ["Class", (answer) => [answer.predictions[0].label]],
  ["Probability", (answer) => [percent(answer.predictions[0].probability)]],
  ["FLOPs", (answer) => [amount(answer.flops.executed), make("small", {}, saved(answer.flops.reduction))]],
  ["Milliseconds, at best", (answer) => [milliseconds(answer.timing_ms.forward)]],
];

const saved = (reduction) => (reduction > 0 ? `−${percent(reduction, 0)}` : "all");

/** Classify a picture at one level, waiting where the service is busy. */
export function classify(file, level, model, signal) {
  const shown = Math.min(SHOWN_CLASSES, model.classes.length);
  const query = new URLSearchParams({ model: model.name, L: level, top_k: shown, deadline_ms: DEADLINE_MS });
  const type = "application/octet-stream";
  return askPatiently(`classify?${query}`, { method: "POST", body: file, type, signal }, (words) => say($("error"), words));
}

/** Of two answers for one picture and level, that of the quicker forward. */
export const quicker = (one, other) => (other.timing_ms.forward < one.timing_ms.forward ? other : one);

/** The class in large letters and the bars under it. */
export function showAnswer(answer) {
  const [best] = answer.predictions;
  const { reduction } = answer.flops;
  $("lead").replaceChildren(make("strong", {}, best.label), ` ${percent(best.probability)}`);
  const most = answer.predictions.map(({ label, probability }) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", probability);
    return make("li", {}, make("span", { class: "name" }, label), bar, make("span", { class: "value" }, percent(probability)));
  });
  $("bars").replaceChildren(...most);
  $("bars").classList.remove("stale");
  const where = levelName(answer.L.used);
  $("said").textContent = `${best.label}, ${percent(best.probability)}, at ${where}; ${percent(reduction, 0)} of the FLOPs saved`;
}

/** The three columns, with dots where nothing was asked yet; `busy` until nothing more is to come. */
export function showComparison(answers, level, busy) {
  $("ours-level").textContent = levelName(level);
  const names = ["dense", "exact", "haste"];
  const rows = ROWS.map(([title, cells]) => {
    const columns = names.map((name) => {
      const stale = name === "haste" && answers.haste && answers.haste.L.used !== level;
      const classes = [name === "haste" && "ours", stale && "stale"].filter(Boolean).join(" ");
      const content = answers[name] ? cells(answers[name]) : [busy ? "…" : "–"];
      return make("td", { class: classes || null }, ...content);
    });
    return make("tr", {}, make("th", { scope: "row" }, title), ...columns);
  });
  $("compare").replaceChildren(...rows);
  $("compare").setAttribute("aria-busy", String(busy));
}

/** What the network knows, in words. */
export function showKnown({ classes, name, dense_top1: top1 }) {
  const count = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][classes.length];
  const listed = classes.length <= 20 ? `: ${classes.join(", ")}` : "";
  const right = top1 ? ` On its test images it is right ${percent(top1, 0)} of the time.` : "";
  $("known").textContent =
    `The network (${name}) knows ${count ?? classes.length} classes${listed}. ` +
    `Anything else gets the nearest of them, so a high probability is no proof.${right}`;
}
