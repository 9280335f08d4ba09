// Small words for the document: find, make, say.

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `aria-…`, `on…` functions, or attributes) and children. */
export function make(name, properties = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "text", "g", "title"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Show words in an element, or hide it where there are none. */
export function say(element, words) {
  element.textContent = words ?? "";
  element.hidden = !words;
}

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const milliseconds = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toString());
export const levelName = (level) => (typeof level === "number" ? `L = ${level}` : level);

/** 1110845440 -> "1.11 G". */
export function amount(number) {
  for (const [unit, size] of [["P", 1e15], ["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return `${Number((number / size).toPrecision(3))} ${unit}`;
  }
  return String(Math.round(number));
}
