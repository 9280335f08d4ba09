// Live tiles from /metrics: requests a second, the 95th percentile, FLOPs saved since start.

import { ask } from "./api.js";
import { $, amount, milliseconds, percent } from "./dom.js";

const RATE_SECONDS = 15;
const LATENCY_SECONDS = 60;
const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;
const polls = []; // what was read within the last minute, oldest first

/** Prometheus' text as [{name, labels, value}]. */
export function parse(text) {
  return text.split("\n").flatMap((line) => {
    const found = LINE.exec(line);
    if (!found) return [];
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    return [{ name: found[1], labels, value: Number(found[3]) }];
  });
}

/** The quantile of a histogram's buckets [[edge, cumulative count], …], linear within a bucket; null where empty. */
export function quantile(share, buckets) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!(total > 0)) return null;
  const wanted = share * total;
  let [low, under] = [0, 0];
  for (const [edge, count] of buckets) {
    if (count >= wanted) return edge === Infinity ? low : low + ((edge - low) * (wanted - under)) / Math.max(count - under, 1);
    [low, under] = [edge, count];
  }
  return low;
}

function read(samples) {
  const sum = (name) => samples.filter((one) => one.name === name).reduce((total, one) => total + one.value, 0);
  const buckets = new Map();
  for (const { name, labels, value } of samples) {
    if (name !== "haste_http_request_duration_seconds_bucket" || !/classify|infer$/.test(labels.route)) continue;
    const edge = labels.le === "+Inf" ? Infinity : Number(labels.le);
    buckets.set(edge, (buckets.get(edge) ?? 0) + value);
  }
  return {
    at: performance.now() / 1000,
    process: sum("process_start_time_seconds"),
    requests: sum("haste_inference_requests_total"),
    dense: sum("haste_dense_flops_total"),
    executed: sum("haste_executed_flops_total"),
    buckets: [...buckets].sort((a, b) => a[0] - b[0]),
  };
}

/** Read once and show. */
export async function refreshTiles() {
  const now = read(parse(await ask("metrics", { text: true, quiet: true })));
  if (polls.length > 0 && now.process !== polls.at(-1).process) polls.length = 0; // started anew, or another replica
  polls.push(now);
  while (polls.length > 1 && now.at - polls[0].at > LATENCY_SECONDS) polls.shift();
  showRate(now);
  showLatency(now);
  const share = now.dense > 0 ? 1 - now.executed / now.dense : 0;
  $("tile-saved").textContent = now.dense > 0 ? percent(share) : "–";
  $("tile-saved-hint").textContent = now.dense > 0 ? `${amount(now.dense - now.executed)} of ${amount(now.dense)}` : "nothing asked yet";
}

function showRate(now) {
  const before = polls.find((one) => now.at - one.at <= RATE_SECONDS) ?? now;
  const seconds = now.at - before.at;
  $("tile-rate").textContent = seconds > 0 ? ((now.requests - before.requests) / seconds).toFixed(1) : "–";
}

function showLatency(now) {
  const before = new Map(polls[0].buckets);
  const grown = now.buckets.map(([edge, count]) => [edge, count - (before.get(edge) ?? 0)]);
  const p95 = quantile(0.95, grown);
  $("tile-p95").textContent = p95 === null ? "–" : `${milliseconds(p95 * 1000)} ms`;
  $("tile-p95-hint").textContent = p95 === null ? "nothing asked in the last minute" : `${grown.at(-1)[1]} requests in the last minute`;
}
