// Puts the page together: a picture and a level go in, answers come out, one request at a time.

import { Gone, Newest, ask, keep, onTrouble, pause } from "./api.js";
import { watchChannels } from "./channels.js";
import { classify, quickest, showAnswer, showComparison, showKnown } from "./classify.js";
import { offerLevel, showDevice, watchDevice } from "./device.js";
import { $, make, say } from "./dom.js";
import { noteTime, watchFrontier } from "./frontier.js";
import { askForKey } from "./keys.js";
import { explain, showMerging, watchMerging } from "./merging.js";
import { watchPictures } from "./picture.js";

const [SETTLE_MS, EXPLAIN_SETTLE_MS, LOOK_MS, RETRY_MS, LOADING_MS] = [120, 600, 120, 1500, 3000];
const GONE = "The service does not answer; trying again…";
const state = { file: null, level: 12, models: [], model: null, answers: {}, layer: null, row: null, column: null };
const [answering, explaining] = [new Newest(), new Newest()];
let back = null;
let again = 0;

/** Ends when the service takes requests again; the banner shows until then. */
function untilBack() {
  back ??= waitForService().finally(() => (back = null));
  return back;
}

async function waitForService() {
  say($("banner"), GONE);
  for (;;) {
    await pause(RETRY_MS);
    try {
      const answer = await fetch("readyz", { cache: "no-store" });
      if (answer.ok) break;
      say($("banner"), "The service is starting or stopping; trying again…");
    } catch {
      say($("banner"), GONE);
    }
  }
  say($("banner"), "");
  load(); // it may be another process, with other models or another calibration
}

/** Run work of which the newest counts; what goes wrong is told in words. True where it went wrong. */
async function begin(newest, delay, errorId, work) {
  try {
    await newest.begin(delay, async (signal) => {
      await work(signal);
      say($(errorId), "");
    });
    return false;
  } catch (error) {
    say($(errorId), sentence(error.message));
    return true;
  }
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}`;

async function answer(signal) {
  const { file, model } = state;
  state.answers.haste = await classify(file, state.level, model, signal);
  showAnswer(state.answers.haste);
  for (const level of ["exact", "dense"]) {
    showComparison(state.answers, state.level, true);
    state.answers[level] ??= await quickest(file, level, model, signal);
  }
  state.answers.haste = await quickest(file, state.level, model, signal, state.answers.haste);
  noteTime(state.answers.haste);
  showComparison(state.answers, state.level, false);
}

async function look(signal) {
  const { file, level, model, layer, row, column } = state;
  const found = await explain(file, { level, model: model?.name, layer, row, column }, signal);
  Object.assign(state, { layer: found.layer.name, row: found.patch.row, column: found.patch.column });
  showMerging(found);
}

async function askAnswer(delay) {
  if (!(await begin(answering, delay, "error", answer)) || state.answers.haste) return;
  $("lead").textContent = "No answer for this picture.";
  $("bars").replaceChildren();
  showComparison({}, state.level, false);
}

async function askAll() {
  say($("error"), "");
  const answered = askAnswer(0);
  explaining.begin(0, async () => {}); // what is looked at is of the picture before
  await answered;
  if (state.answers.haste) begin(explaining, 0, "merging-error", look);
}

function usePicture(file) {
  Object.assign(state, { file, answers: {} });
  $("bars").classList.add("stale");
  $("lead").textContent = "Asking…";
  showComparison({}, state.level, true);
  if (state.model) askAll();
  else load(); // which asks, once it knows a model
}

function moveLevel(level) {
  state.level = level;
  $("level-value").textContent = level;
  offerLevel(level);
  showComparison(state.answers, level, Boolean(state.file));
  if (!state.file || !state.model) return;
  askAnswer(SETTLE_MS);
  begin(explaining, EXPLAIN_SETTLE_MS, "merging-error", look);
}

function lookAt(where) {
  Object.assign(state, "layer" in where ? { row: null, column: null } : {}, where);
  begin(explaining, LOOK_MS, "merging-error", look);
}

async function useModel(model) {
  Object.assign(state, { model, answers: {}, layer: null, row: null, column: null });
  $("level").min = model.L[0];
  $("level").max = model.L[1];
  showKnown(model);
  await showDevice(model);
  if (state.file) askAll();
}

async function keepModel(model) {
  state.model = model;
  await showDevice(model);
  if (state.file && !state.answers.haste) askAll();
}

/** Models and their frontiers anew; what the person chose stays where it is still served. */
async function load() {
  try {
    const { models } = await ask("models");
    const model = models.find(({ name }) => name === state.model?.name) ?? models[0];
    const [first, same] = [!state.model, state.model?.name === model.name];
    state.models = models;
    $("models").replaceChildren(...models.map(({ name }) => make("option", { value: name, selected: name === model.name }, name)));
    $("models-label").hidden = models.length < 2;
    if (same) await keepModel(model);
    else await useModel(model);
    if (first) await startLevel(model);
    clearTimeout(again);
    if (!model.ready) again = setTimeout(load, LOADING_MS); // its calibration is still to come
  } catch (error) {
    if (error instanceof Gone) untilBack();
    else if (error.status) say($("device-error"), sentence(error.message));
    else throw error;
  }
}

/** The slider begins where the service stands. */
async function startLevel({ name }) {
  const config = await ask("config");
  const start = config.models[name]?.L ?? config.L;
  if (typeof start === "number") $("level").value = start;
  moveLevel(Number($("level").value));
}

onTrouble({ key: askForKey, gone: untilBack });
watchPictures(usePicture, (words) => say($("error"), words));
watchMerging(lookAt);
watchChannels();
watchFrontier();
$("level").addEventListener("input", (event) => moveLevel(Number(event.target.value)));
$("models").addEventListener("change", (event) => useModel(state.models.find(({ name }) => name === event.target.value)));
$("keys-open").addEventListener("click", async () => {
  const key = await askForKey("admin", "a key that this page sends along: the admin key, or the data key to ask alone");
  if (key) for (const role of ["data", "admin"]) keep(role, key);
  if (key) load();
});
showComparison({}, state.level, false);
watchDevice({ gone: untilBack, changed: load, level: () => state.level });
load();
