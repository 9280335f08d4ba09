// The live picture of merging, from POST /explain: the map of a layer, and every layer beside it.

import { askPatiently } from "./api.js";
import { showChannels } from "./channels.js";
import { $, make, percent, say } from "./dom.js";

const NUMBERED_COLUMNS = 8; // with more, the number of a patch is in its title alone
const PALEST = 0.1; // of the colour, at the least ratio of the map
const FORMS = { dense: "every FLOP", zeros: "skips zeros", merge: "merges" };
let choose = () => {};

/** Call `chosen({layer, row, column})` when the person looks elsewhere. */
export function watchMerging(chosen) {
  choose = chosen;
  $("layer").addEventListener("change", (event) => choose({ layer: event.target.value }));
  $("cells").addEventListener("click", (event) => pick(event.target.closest("button")));
  $("cells").addEventListener("keydown", move);
}

/** Ask what the method does to one patch; without a place, the service takes one near the middle. */
export function explain(file, { level, model, layer, row, column }, signal) {
  const query = new URLSearchParams({ L: level });
  for (const [name, value] of Object.entries({ model, layer, row, column })) {
    if (value !== null && value !== undefined) query.set(name, value);
  }
  const options = { method: "POST", body: file, type: "application/octet-stream", signal };
  return askPatiently(`explain?${query}`, options, (words) => say($("merging-error"), words));
}

function pick(button) {
  if (button) choose({ row: Number(button.dataset.row), column: Number(button.dataset.column) });
}

function move(event) {
  const cell = event.target.closest("button");
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const [row, column] = [Number(cell.dataset.row) + step[0], Number(cell.dataset.column) + step[1]];
  const next = $("cells").querySelector(`[data-row="${row}"][data-column="${column}"]`);
  if (!next) return;
  next.focus();
  pick(next);
}

/** Everything of an answer. */
export function showMerging(found) {
  say($("merging-empty"), "");
  $("merging").hidden = false;
  $("merging").classList.remove("stale");
  showLayerChoice(found);
  showMap(found);
  showBox(found.patch.box);
  showChannels(found);
  showServed(found);
  showLayers(found);
}

function showLayerChoice({ layer, layers }) {
  const names = layers.filter((one) => one.converted).map((one) => one.name);
  $("layer").replaceChildren(...names.map((name) => make("option", { value: name, selected: name === layer.name }, name)));
  const { in_channels: from, out_channels: to, kernel_size: kernel, feature_map: map, grid } = layer;
  $("layer-shape").textContent =
    `${from} channels of ${map.height} × ${map.width} in, ${to} out, kernel ${kernel.join(" × ")}, ${grid.rows} × ${grid.columns} patches`;
}

function showMap({ map, patch }) {
  const focused = $("cells").contains(document.activeElement);
  const [least, most] = [Math.min(...map.compression_ratio.flat()), Math.max(...map.compression_ratio.flat())];
  const heat = (ratio) => (most > least ? PALEST + (1 - PALEST) * ((ratio - least) / (most - least)) : 0.5);
  const rows = map.compression_ratio.map((ratios, row) => {
    const cells = ratios.map((ratio, column) => {
      const here = row === patch.row && column === patch.column;
      const name = `row ${row + 1}, column ${column + 1}: r = ${percent(ratio)}`;
      const number = map.columns <= NUMBERED_COLUMNS ? [make("span", {}, percent(ratio, 0))] : [];
      const attributes = { type: "button", role: "gridcell", "data-row": row, "data-column": column, title: name };
      const state = { "aria-label": name, "aria-selected": String(here), tabindex: here ? 0 : -1 };
      const cell = make("button", { ...attributes, ...state }, ...number);
      cell.style.setProperty("--heat", heat(ratio));
      return cell;
    });
    return make("div", { role: "row" }, ...cells);
  });
  $("cells").style.setProperty("--columns", map.columns);
  $("cells").style.setProperty("--rows", map.rows);
  $("cells").replaceChildren(...rows);
  if (focused) $("cells").querySelector('[aria-selected="true"]').focus();
  const ends = [make("span", {}, percent(least, 0)), make("i", { "aria-hidden": "true" }), make("span", {}, percent(most, 0))];
  $("scale").replaceChildren(...ends);
}

function showBox(box) {
  for (const side of ["left", "top", "width", "height"]) $("box").style[side] = `${box[side] * 100}%`;
}

function showServed({ layer, layers }) {
  const { form, served_form: served } = layers[layer.index];
  const words = {
    same: "",
    merge: `This shows the method as specified. On this machine /classify ${FORMS[served]} here instead of merging: in this layer merging would take more time than it saves.`,
    zeros: `In this layer the method ${FORMS[form]} at this L. On this machine /classify computes every FLOP here: that takes less time.`,
  };
  const alike = "In this layer the method only skips zeros at this L: nothing is hashed, so no channels share a bucket.";
  say($("served"), served === form ? (form === "zeros" ? alike : words.same) : words[form]);
}

function showLayers({ layer, layers }) {
  const rows = layers.map((one) => {
    const name = one.converted
      ? make("button", { type: "button", class: "link", "aria-current": one.name === layer.name && "true", onclick: () => choose({ layer: one.name }) }, one.name)
      : one.name;
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", one.compression_ratio);
    const differs = one.form !== one.served_form;
    const form = differs ? `${FORMS[one.form]} / ${FORMS[one.served_form]} *` : FORMS[one.form];
    return make("tr", { class: one.name === layer.name && "here" },
      make("th", { scope: "row" }, name, make("small", { class: "narrow" }, form)),
      make("td", {}, make("span", { class: "meter" }, bar, make("span", { class: "value" }, percent(one.compression_ratio)))),
      make("td", { class: "number" }, percent(one.reduction, 0)),
      make("td", { class: "form" }, form));
  });
  $("layers").replaceChildren(...rows);
  const differing = layers.filter((one) => one.form !== one.served_form).length;
  $("forms").textContent = differing
    ? `* ${differing} of ${layers.length} layers run otherwise in /classify on this machine, where the method would take more time than it saves. FLOPs saved are those of the method as specified.`
    : "On this machine /classify runs every layer as the method says.";
}
