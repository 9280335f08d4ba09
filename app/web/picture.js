// Where a picture comes from: dropped, pasted, chosen, photographed, or a sample.

import { $, make } from "./dom.js";

const SAMPLES = ["airplane", "automobile", "bird", "cat", "dog", "frog", "horse", "ship"];
const PIXELATED_UNDER = 128;
let shown = null;

/** Call `use(file)` with every picture; `complain(words)` where there is none in what came. */
export function watchPictures(use, complain) {
  const take = (files, what) => {
    if (files.length > 0) show(files[0], files[0].name || what, use);
    else complain(`There was no picture in what you ${what}. Save it as a file and choose that.`);
  };
  watchDrops(take);
  addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (files.length > 0 || !event.target.matches?.("input")) take(files, "pasted");
  });
  for (const id of ["choose", "photograph"]) {
    $(id).addEventListener("change", (event) => {
      if (event.target.files.length > 0) take([...event.target.files], "chose");
      event.target.value = ""; // the same file may be chosen again
    });
  }
  $("samples").append(...SAMPLES.map((name) => sample(name, use)));
}

function watchDrops(take) {
  let depth = 0;
  const mark = (inside) => $("picture").classList.toggle("over", inside);
  addEventListener("dragenter", () => mark((depth += 1) > 0));
  addEventListener("dragleave", () => mark((depth -= 1) > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark((depth = 0) > 0);
    take([...(event.dataTransfer?.files ?? [])], "dropped");
  });
}

function sample(name, use) {
  const source = `samples/${name}.jpg`;
  const load = async () => {
    try {
      const answer = await fetch(source);
      if (answer.ok) show(await answer.blob(), name, use);
    } catch {
      // the banner tells that the service is gone
    }
  };
  const image = make("img", { src: source, alt: "", width: 32, height: 32 });
  return make("li", {}, make("button", { type: "button", "aria-label": `Sample: ${name}`, title: name, onclick: load }, image));
}

function show(file, name, use) {
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  $("drop-hint").hidden = true;
  for (const [id, alt] of [["preview", `Your picture: ${name}`], ["heat-image", ""]]) {
    const image = $(id);
    image.hidden = false;
    image.alt = alt;
    image.onload = () => image.classList.toggle("pixels", image.naturalWidth < PIXELATED_UNDER);
    image.onerror = () => (image.hidden = true); // the service says what is wrong with it
    image.src = shown;
  }
  use(file);
}
