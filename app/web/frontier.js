// The latency frontier that was measured on this machine, with the present point on it.

import { $, levelName, make, milliseconds, percent, say } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 250, 70, 24, 36, 46];
const HOW =
  "This device was not calibrated, so nothing is known of its frontier. Run `haste calibrate` here and start the service with " +
  "HASTE_CALIBRATION=FILE, or let it calibrate at start (HASTE_CALIBRATION_MS above 0).";
let known = null;
const answered = new Map(); // model and level -> milliseconds of the last picture
const place = (model, level) => `${model} ${level}`;

/** Remember what an answer took, for a level that is not on the frontier. */
export function noteTime({ model, L, timing_ms: took }) {
  answered.set(place(model, L.used), took.forward);
}

/** Draw for another batch size when it is chosen. */
export function watchFrontier() {
  $("batch").addEventListener("change", () => known && draw());
}

/** The frontier of a model, and the level that its requests get now. */
export function showFrontier({ name, calibration }, level) {
  known = { name, calibration, level };
  $("frontier-details").hidden = $("batch-label").hidden = !calibration;
  if (!calibration) {
    say($("frontier-words"), HOW);
    $("frontier").replaceChildren();
    return;
  }
  const sizes = [...new Set(calibration.frontier.map((point) => point.batch))];
  const before = Number($("batch").value) || sizes[0];
  $("batch").replaceChildren(...sizes.map((size) => make("option", { value: size, selected: size === before }, String(size))));
  draw();
}

function draw() {
  const { name, calibration, level } = known;
  const batch = Number($("batch").value);
  const points = calibration.frontier.filter((point) => point.batch === batch).map((point) => ({ ...point, ms: point.median_ms / batch }));
  points.sort((a, b) => a.ms - b.ms);
  const present = points.find((point) => point.level === level);
  const made = new Date(calibration.made).toLocaleDateString("en", { dateStyle: "medium" });
  const where = present
    ? `Now: ${levelName(level)}, ${milliseconds(present.ms)} ms an image.`
    : `Now: ${levelName(level)}, which is not on the frontier at this batch size: it was not measured, or a level that is closer to dense was no slower.`;
  const last = !present && batch === 1 ? answered.get(place(name, level)) : undefined;
  const threads = `${calibration.threads} ${calibration.threads === 1 ? "thread" : "threads"}`;
  const line = last === undefined ? "" : ` The dashed line is what your last picture took at ${levelName(level)}.`;
  say($("frontier-words"), `${where}${line} Measured ${made} on ${threads}. Left is faster, up is closer to the dense network.`);
  $("frontier").replaceChildren(plot(points, present, last));
  $("frontier-rows").replaceChildren(...points.map((point) => row(point, point === present)));
}

function row(point, here) {
  const name = here ? `${levelName(point.level)} (now)` : levelName(point.level);
  const cells = [milliseconds(point.ms), percent(point.reduction, 0), percent(point.agreement), point.kl.toPrecision(2)];
  return make("tr", { class: here && "here" }, make("th", { scope: "row" }, name), ...cells.map((text) => make("td", { class: "number" }, text)));
}

function plot(points, present, last) {
  const times = [...points.map((point) => point.ms), ...(last === undefined ? [] : [last])];
  const margin = Math.max((Math.max(...times) - Math.min(...times)) * 0.15, Math.max(...times) * 0.05);
  const [from, to] = [Math.max(0, Math.min(...times) - margin), Math.max(...times) + margin];
  const worst = Math.max(...points.map((point) => point.kl), 1e-3) * 1.15;
  const x = (ms) => LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (kl) => TOP + (kl / worst) * (HEIGHT - TOP - BOTTOM);
  const path = points.map((point, index) => `${index ? "L" : "M"}${x(point.ms)} ${y(point.kl)}`).join("");
  const marks = points.map((point) => mark(point, x(point.ms), y(point.kl), point === present));
  const label = points.map((point) => `${levelName(point.level)} ${milliseconds(point.ms)} ms`).join(", ");
  const now = present ? `; now at ${levelName(present.level)}` : "";
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Frontier, from fast to close: ${label}${now}` };
  const line = last === undefined ? [] : [make("line", { x1: x(last), x2: x(last), y1: TOP, y2: HEIGHT - BOTTOM, class: "last" })];
  return make("svg", box, ...line, ...axes(from, to, worst, x, y), make("path", { d: path, class: "curve" }), ...marks);
}

function axes(from, to, worst, x, y) {
  const [bottom, right] = [HEIGHT - BOTTOM, WIDTH - RIGHT];
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => from + share * (to - from));
  const heights = [0, 0.5, 1].map((share) => (worst / 1.15) * share);
  return [
    ...heights.map((kl) => make("line", { x1: LEFT, x2: right, y1: y(kl), y2: y(kl), class: "grid" })),
    ...heights.map((kl) => make("text", { x: LEFT - 8, y: y(kl) + 4, "text-anchor": "end" }, kl === 0 ? "0" : String(Number(kl.toPrecision(2))))),
    ...ticks.map((ms) => make("text", { x: x(ms), y: bottom + 18, "text-anchor": "middle" }, milliseconds(ms))),
    make("line", { x1: LEFT, x2: right, y1: bottom, y2: bottom, class: "axis" }),
    make("text", { x: right, y: HEIGHT - 6, "text-anchor": "end" }, "ms an image"),
    make("text", { x: 4, y: 14 }, "KL to dense"),
  ];
}

function mark(point, cx, cy, here) {
  const words = `${levelName(point.level)}: ${milliseconds(point.ms)} ms, ${percent(point.reduction, 0)} of the FLOPs saved`;
  const name = here ? `${levelName(point.level)} now` : levelName(point.level);
  return make("g", { class: here ? "point here" : "point" },
    make("circle", { cx, cy, r: here ? 8 : 5 }, make("title", {}, words)),
    make("text", { x: cx, y: cy - 13, "text-anchor": cx > WIDTH - 80 ? "end" : "middle" }, name));
}
