// Puts the page together: a picture and a level go in, answers come out, one request at a time.

import { Gone, Newest, ask, keep, onTrouble, pause } from "./api.js";
import { watchChannels } from "./channels.js";
import { classify, quicker, showAnswer, showComparison, showKnown } from "./classify.js";
import { offerLevel, showDevice, watchDevice } from "./device.js";
import { $, make, say } from "./dom.js";
import { noteTime, watchFrontier } from "./frontier.js";
import { askForKey } from "./keys.js";
import { explain, showMerging, watchMerging } from "./merging.js";
import { watchPictures } from "./picture.js";

const [SETTLE_MS, EXPLAIN_SETTLE_MS, LOOK_MS, RETRY_MS, LOADING_MS] = [120, 480, 120, 1500, 3000];
const TURNS = 3; // a single forward tells little beside a browser that draws
const SENT_AGAIN_BYTES = 2 ** 20; // a larger picture is not sent again for its times alone
const GONE = "The service does not answer; trying again…";
const state = { file: null, level: 12, models: [], model: null, answers: {}, turns: {}, layer: null, row: null, column: null };
const [answering, explaining] = [new Newest(), new Newest()];
let back = null;
let again = 0;
let asking = 0;
let moved = false;

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
  const { file, model, answers, turns } = state;
  answers.haste = await classify(file, state.level, model, signal);
  turns.haste = 1;
  showAnswer(answers.haste);
  noteTime(answers.haste);
  for (const level of ["exact", "dense"]) {
    showComparison(answers, state.level, true);
    if (answers[level]) continue;
    answers[level] = await classify(file, level, model, signal);
    turns[level] = 1;
  }
  showComparison(answers, state.level, true);
}

/** Ask again what was asked fewer than three times: the quickest forward of each level counts. */
async function repeat(signal) {
  const { file, model, answers, turns } = state;
  for (let turn = 1; turn < TURNS; turn++) {
    for (const [name, level] of [["haste", state.level], ["exact", "exact"], ["dense", "dense"]]) {
      if (turns[name] > turn) continue;
      answers[name] = quicker(answers[name], await classify(file, level, model, signal));
      turns[name] = turn + 1;
      showComparison(answers, state.level, true);
    }
  }
  noteTime(answers.haste);
  showComparison(answers, state.level, false);
}

async function look(signal) {
  const { file, level, model, layer, row, column } = state;
  const found = await explain(file, { level, model: model?.name, layer, row, column }, signal);
  Object.assign(state, { layer: found.layer.name, row: found.patch.row, column: found.patch.column });
  showMerging(found);
}

/** True where it went wrong. */
async function askAnswer(delay, work) {
  const wrong = await begin(answering, delay, "error", work);
  if (wrong) showComparison(state.answers, state.level, false);
  if (!wrong || state.answers.haste) return wrong;
  $("lead").textContent = "No answer for this picture.";
  $("bars").replaceChildren();
  $("merging").hidden = true;
  return wrong;
}

async function askMerging(delay) {
  const wrong = await begin(explaining, delay, "merging-error", look);
  if (wrong && $("merging").classList.contains("stale")) $("merging").hidden = true;
}

/** The answer, then what was merged, then the times once more; what is asked anew meanwhile takes the place of it all. */
async function askAll(delay = 0, explainDelay = 0) {
  const mine = (asking += 1);
  say($("error"), "");
  explaining.begin(0, async () => {}); // what is looked at is of before
  const wrong = await askAnswer(delay, answer);
  if (mine !== asking || !state.answers.haste) return;
  await askMerging(explainDelay);
  if (wrong || mine !== asking) return;
  if (state.file.size <= SENT_AGAIN_BYTES) askAnswer(0, repeat);
  else showComparison(state.answers, state.level, false);
}

/** Nothing that is shown or on its way is of this picture and model. */
function forget() {
  asking += 1;
  for (const one of [answering, explaining]) one.begin(0, async () => {});
  Object.assign(state, { answers: {}, turns: {} });
  $("merging").classList.add("stale");
}

function usePicture(file) {
  state.file = file;
  forget();
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
  if (state.file && state.model) askAll(SETTLE_MS, EXPLAIN_SETTLE_MS);
}

function lookAt(where) {
  Object.assign(state, "layer" in where ? { row: null, column: null } : {}, where);
  askMerging(LOOK_MS);
}

async function useModel(model) {
  forget();
  Object.assign(state, { model, layer: null, row: null, column: null });
  showComparison({}, state.level, Boolean(state.file));
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

/** The slider begins where the service stands, unless the person was quicker. */
async function startLevel({ name }) {
  const config = await ask("config");
  const start = config.models[name]?.L ?? config.L;
  if (typeof start === "number" && !moved) $("level").value = start;
  moveLevel(Number($("level").value));
}

onTrouble({ key: askForKey, gone: untilBack });
watchPictures(usePicture, (words) => say($("error"), words));
watchMerging(lookAt);
watchChannels();
watchFrontier();
$("level").addEventListener("input", (event) => {
  moved = true;
  moveLevel(Number(event.target.value));
});
$("models").addEventListener("change", (event) => useModel(state.models.find(({ name }) => name === event.target.value)));
$("keys-open").addEventListener("click", async () => {
  const key = await askForKey("admin", "a key that this page sends along: the admin key, or the data key to ask alone");
  if (key) for (const role of ["data", "admin"]) keep(role, key);
  if (key) load();
});
showComparison({}, state.level, false);
watchDevice({ gone: untilBack, changed: load, level: () => state.level });
load();
