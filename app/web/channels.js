// The channels of one patch: merged ones in the colour of their bucket, kept ones plain, dropped ones grey.

import { $, make, percent } from "./dom.js";

const GOLDEN_DEGREES = 137.508; // neighbours get hues far from one another
let channels = [];

/** Tell of the channel that is pointed at. */
export function watchChannels() {
  $("groups").addEventListener("pointerover", (event) => {
    const cell = event.target.closest("[data-channel]");
    if (cell) $("cell-words").textContent = describe(channels[Number(cell.dataset.channel)]);
  });
}

function describe({ index, code, bucket, state, rms }) {
  const where = { merged: `merged in bucket ${bucket}`, kept: `kept alone in bucket ${bucket}`, dropped: "dropped" }[state];
  return `Channel ${index}: ${where}${code ? `, code ${code}` : ""}, root mean square ${rms.toPrecision(3)}`;
}

/** `64 -> 24, r = 62.5 %` and the groups. */
export function showChannels({ patch, layer }) {
  channels = [];
  for (const channel of patch.channels) channels[channel.index] = channel;
  const { channels_before: before, channels_after: after, compression_ratio: ratio } = patch;
  $("sentence").textContent = `${before} -> ${after}, r = ${percent(ratio)}`;
  $("patch-title").textContent = `Patch in row ${patch.row + 1}, column ${patch.column + 1} of ${layer.name}`;
  const shared = patch.buckets.filter((bucket) => bucket.size > 1).sort((a, b) => b.size - a.size);
  const merged = shared.reduce((sum, bucket) => sum + bucket.size, 0);
  const kept = patch.channels.filter((channel) => channel.state === "kept");
  const dropped = patch.channels.filter((channel) => channel.state === "dropped");
  $("sentence-words").textContent =
    `Of ${before} channels, ${merged} share ${shared.length} buckets, ${kept.length} are kept alone ` +
    `and ${dropped.length} are dropped because they are (near) zero: ${after} are convolved.`;
  $("groups").replaceChildren(
    ...group(`Merged: ${merged} channels in ${shared.length} buckets`, shared.map(bucketOf)),
    ...group(`Kept alone: ${kept.length}`, kept.map(cellOf)),
    ...group(`Dropped: ${dropped.length}`, dropped.map(cellOf)),
  );
  showTable(patch.channels);
}

function group(title, members) {
  if (members.length === 0) return [];
  return [make("h4", {}, title), make("div", { class: "group" }, ...members)];
}

function bucketOf({ id, channels: members }, place) {
  const cells = members.map((index) => cellOf(channels[index] ?? { index, bucket: id, state: "merged", rms: 0 }));
  const box = make("div", { class: "bucket" }, make("b", {}, `b${id}`), ...cells);
  box.style.setProperty("--hue", (210 + place * GOLDEN_DEGREES) % 360);
  return box;
}

function cellOf(channel) {
  return make("span", { class: `cell ${channel.state}`, "data-channel": channel.index, title: describe(channel) }, String(channel.index));
}

function showTable(all) {
  const rows = all.map(({ index, state, bucket, code, rms }) => {
    const cells = [state, bucket === null ? "–" : `b${bucket}`, code || "–", rms.toPrecision(3)];
    return make("tr", {}, make("th", { scope: "row" }, String(index)), ...cells.map((text) => make("td", {}, text)));
  });
  $("channel-table").tBodies[0].replaceChildren(...rows);
}
