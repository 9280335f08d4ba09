// What the service does now, and what may be changed for everybody: controller and L, with the admin key.

import { Gone, ask } from "./api.js";
import { $, levelName, percent, say } from "./dom.js";
import { showFrontier } from "./frontier.js";
import { refreshTiles } from "./tiles.js";

const POLL_MS = 3000;
const REFUSED = "Not changed:";
let model = null;
let config = null;
const hooks = {};

/**
 * Poll while the tab is visible. `gone()` ends when a service that does not answer is back, `changed()` is called when
 * somebody changed the configuration, `level()` is that of the slider.
 */
export function watchDevice(handlers) {
  Object.assign(hooks, handlers);
  $("controller").addEventListener("change", (event) => change({ controller: { enabled: event.target.checked } }));
  $("level-for-all").addEventListener("click", () => change(levelPatch(hooks.level())));
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  setInterval(() => document.hidden || refresh(), POLL_MS);
}

/** Another model's standing and frontier. */
export function showDevice(chosen) {
  model = chosen;
  return refresh();
}

let running = null;

function refresh() {
  running ??= poll().finally(() => (running = null));
  return running;
}

async function poll() {
  try {
    await refreshTiles();
    const before = config?.version;
    show(await ask("config", { quiet: true }));
    if (!$("device-error").textContent.startsWith(REFUSED)) say($("device-error"), "");
    if (before !== undefined && before !== config.version) hooks.changed(); // a frontier may hold no longer
  } catch (error) {
    if (error instanceof Gone) await hooks.gone();
    else if (error.status !== 401) say($("device-error"), error.message);
  }
}

function show(state) {
  config = state;
  offerLevel(hooks.level());
  const standing = config.controller.models[model?.name];
  const { enabled, slo_ms: slo, L_min: least } = config.controller;
  $("controller").disabled = $("level-for-all").disabled = false;
  $("controller").checked = enabled;
  if (!standing) return;
  $("tile-level").textContent = String(standing.L);
  $("tile-level-hint").textContent = standing.degraded ? `lowered from ${standing.configured} under load` : "as configured";
  const load = `Load: ${percent(standing.pressure, 0)} of what the engine can take.`;
  const off = standing.off ? ` It does nothing now: ${standing.off}.` : "";
  const warning = standing.warning ? ` The objective cannot be held: ${standing.warning}.` : "";
  $("controller-words").textContent = `Objective: ${slo} ms, never under ${levelName(least)}. ${load}${off}${warning}`;
  showFrontier(model, standing.L);
}

const hasOwnLevel = () => (config?.models[model?.name]?.L ?? null) !== null;
const levelPatch = (L) => (hasOwnLevel() ? { models: { [model.name]: { L } } } : { L });

/** Offer the level of the slider for everybody. */
export function offerLevel(level) {
  $("level-for-all").textContent = `Use L = ${level} for every request${hasOwnLevel() ? ` of ${model.name}` : ""}`;
}

/** Once only, unlike a question: a change that comes late could undo somebody else's. */
async function change(patch) {
  say($("device-error"), "");
  try {
    const options = { method: "PATCH", role: "admin", type: "application/json", body: JSON.stringify(patch) };
    show(await ask("config", options));
  } catch (error) {
    say($("device-error"), `${REFUSED} ${error.message}`);
    if (config) show(config);
  }
}
