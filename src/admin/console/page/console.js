// The page: reads the stream of the process, and draws it.
import { Chart, element, number, table } from "./charts.js";

const by = (id) => document.getElementById(id);
const put = (id, ...children) => by(id).replaceChildren(...children);
let points = [], capacity = 900, settingsVersion = null, fields = [], token = null, gateTimes = [], bounds = [];

// Reasons of forwarded_total and not_stored_total in words, each followed by its label. Others are shown as they are.
const FORWARDED = { "no-proof": "no proof for this token yet", "proof-expired": "proof too old", "no-entry": "response left memory", stale: "response too old", superseded: "Graph changed the response", request: "refresh demanded", "token-expiring": "token expires" };
const NOT_STORED = { status: "Graph's status was not 200", bypass: "the token may not use the cache", "no-store": "no-store of Graph or the caller", vary: "Vary differs in every request", "no-lifetime": "no lifetime and no validator", invalidated: "purged or withdrawn meanwhile", "token-expiring": "token expires", "too-large": "larger than memory" };
const inWords = (counted, words) => counted.map(([reason, count]) => [words[reason] ? `${words[reason]} (${reason})` : reason, count]);
const total = (point) => OUTCOMES.reduce((sum, name) => sum + point[name], 0);
const spared = (point) => point.hit + point.stale + point.collapsed;
const OUTCOMES = ["hit", "miss", "stale", "revalidated", "collapsed", "bypass", "none"];
const of = (name) => ({ name, of: (point) => point[name] });
const millis = (name, field) => ({ name, of: (point) => point[field] ? point[field] / 1000 : null });
const charts = [
  new Chart(by("chart-ratio"), "Hit ratio in percent", [{ name: "hit ratio", of: (point) => total(point) ? 100 * (point.hit + point.stale + point.revalidated + point.collapsed) / total(point) : null }], { max: 100, unit: " %", spark: true }),
  new Chart(by("chart-requests"), "Requests by outcome", OUTCOMES.map((name) => ({ ...of(name), name: name === "none" ? "refused or failed" : name })), { stacked: true, unit: "/s" }),
  new Chart(by("chart-graph"), "Calls of Graph", [["success", "graph_ok"], ["429", "graph_429"], ["other 4xx", "graph_4xx"], ["5xx", "graph_5xx"], ["no usable response", "graph_failed"]].map(([name, field]) => ({ name, of: (point) => point[field] })), { stacked: true, unit: "/s" }),
  new Chart(by("chart-latency"), "Latency in milliseconds", [millis("requests p50", "p50_us"), millis("requests p99", "p99_us"), millis("Graph p50", "graph_p50_us"), millis("Graph p99", "graph_p99_us")], { unit: " ms" }),
  new Chart(by("chart-memory"), "Memory in MiB", [{ name: "MiB", of: (point) => point.bytes / 1048576 }], { unit: " MiB", spark: true }),
];

function counts(title, entries, sum) {
  const rows = entries.filter(([, count]) => count > 0).sort((one, other) => other[1] - one[1]);
  if (!rows.length) return element("p", {}, `${title}: none in 15 minutes`);
  if (sum === null) return table([title, "15 min"], rows.map(([name, count]) => [name, number(count)]));
  return table([title, "15 min", "share"], rows.map(([name, count]) => [name, number(count), sum ? `${(100 * count / sum).toFixed(1)} %` : "–"]));
}

const clock = (seconds) => `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
const sum = (of, from = points) => from.reduce((all, point) => all + of(point), 0);
const calls = (point) => point.graph_ok + point.graph_4xx + point.graph_429 + point.graph_5xx + point.graph_failed;

function drawFigures(state) {
  const recent = points.slice(-60), seconds = Math.max(recent.length, 1), window = Math.max(points.length, 1);
  const requests = sum(total, recent), hits = sum((point) => total(point) - point.miss - point.bypass - point.none, recent);
  const latest = recent.findLast((point) => point.p50_us) ?? {};
  // A quantile at the bound of a bucket may be any value of the bucket.
  const sign = (micros) => micros > bounds.at(-1) ? "> " : bounds.includes(micros) ? "≤ " : "";
  const milli = (micros) => micros ? `${sign(micros)}${number(micros / 1000)} ms` : "–";
  const figures = [
    ["Hit ratio, 1 min", requests ? `${(100 * hits / requests).toFixed(1)} %` : "–"],
    ["Requests", `${number(requests / seconds)}/s`],
    ["Graph calls", `${number(60 * sum(calls, recent) / seconds)}/min`],
    ["Spared calls", `${number(Math.round(3600 * sum(spared) / window))}/h`],
    ["p50 · p99", `${milli(latest.p50_us)} · ${milli(latest.p99_us)}`],
    ["Calls open now", number(state.cache.flights)],
  ];
  put("figures", ...figures.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function drawGates(state) {
  const open = state.cache.throttled ?? [];
  gateTimes = [];
  if (!open.length) return put("gates", element("p", {}, "none open"));
  const made = table(["scope", "tag", "cause", "left"], open.map((one) => [one.scope, one.tag ?? "–", one.cause, clock(one.left_seconds)]));
  made.querySelectorAll("tbody tr").forEach((row, at) => { row.className = "gate"; gateTimes.push([row.lastChild, open[at].left_seconds]); });
  put("gates", made);
}

// Milliseconds with one digit after the point below ten.
const ms = (seconds) => `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
function fleet(shared, now) {
  const purge = shared.last_purge;
  const last = purge ? `${purge.confirmed}/${purge.replicas} in ${ms(purge.seconds)}, ${clock(Math.max(now - purge.unix_seconds, 0))} ago` : "none through this replica";
  return [`● × ${shared.replicas} · ${shared.state}`, `store ${shared.store_seconds === null ? "not connected" : ms(shared.store_seconds)} · log read ${ms(shared.log_lag_seconds)} ago`, `last purge ${last}`];
}

function drawState(state) {
  put("identity", `${state.version} · ${state.revision.slice(0, 8)} · `, element("b", { id: "readiness", class: state.readiness === "ready" ? "good" : "bad" }, `● ${state.readiness}`), ` · up ${clock(state.uptime_seconds)}`);
  const sentences = state.banner.map((one) => {
    const more = one.section ? [" ", element("button", { type: "button", class: "link", "data-section": one.section }, "what to do")] : [];
    return element("li", { class: one.severity }, one.severity === "error" ? "▲ " : "● ", one.text, ...more);
  });
  const banner = sentences.length ? sentences : [element("li", { class: "good" }, "Nothing needs attention.")];
  const text = banner.map((one) => one.textContent).join();
  if (by("banner").dataset.text !== text) { put("banner", ...banner); by("banner").dataset.text = text; }
  const window = state.window ?? {}, requests = sum(total);
  const named = (name) => Object.entries(window[name] ?? {});
  const notFromMemory = [...inWords(named("forwarded"), FORWARDED), ...named("bypass")];
  put("reasons", counts("not from memory", notFromMemory, notFromMemory.reduce((all, [, count]) => all + count, 0)));
  put("refusals", counts("refused", named("rejected"), requests));
  drawGates(state);
  put("graph", counts("status", named("graph_statuses"), null), counts("no usable response", named("graph_errors"), null), counts("not stored, because", inWords(named("not_stored"), NOT_STORED), null));
  const mib = (bytes) => (bytes / 1048576).toFixed(1), cache = state.cache;
  const left = window.evictions ?? {};
  put("memory", element("p", {}, `${mib(cache.bytes)} of ${mib(cache.capacity_bytes)} MiB · ${number(cache.entries)} responses · tokens with proofs: ${number(cache.tokens_with_proofs)}`),
    element("p", {}, `left in 15 min: by time ${left.time ?? 0}, for space ${left.space ?? 0}, purged ${left.purge ?? 0}, invalidated ${left.invalidate ?? 0}`));
  const end = state.certificate_not_after, days = end === null ? null : Math.floor((end - state.unix_seconds) / 86400);
  const masked = Object.entries(state.total?.scrubbed ?? {});
  put("credentials", element("p", {}, days === null ? "no certificate: listen.tls is off" : `certificate ends in ${days} days`),
    element("p", {}, `credentials masked in responses since the start: ${number(masked.reduce((all, [, count]) => all + count, 0))}`),
    counts("scrub failures", named("scrub_failures"), null));
  const shared = cache.shared;
  by("fleet-section").hidden = !shared || shared.state === "off";
  if (shared) put("fleet", ...fleet(shared, state.unix_seconds).map((text) => element("p", {}, text)));
  const hasToken = state.has_admin_token;
  by("purge-note").hidden = hasToken;
  if (!hasToken) { showCommand(); by("ask").disabled = true; }
  drawFigures(state);
}

function drawSettings(settings, state) {
  settingsVersion = state.settings_version;
  const known = settings.length ? settings : Object.entries(state.cache.configuration).map(([name, value]) => ({ name, value, source: "in force" }));
  const rows = known.toSorted((one, other) => Boolean(other.changed) - Boolean(one.changed));
  const row = (one) => [one.name, one.pending ? `${one.value ?? "not set"} (after a restart: ${one.pending})` : one.value ?? "not set", one.changed ? `changed: ${one.source}` : one.source];
  const group = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Settings" }, table(["key", "value", "source"], rows.map(row)));
  put("settings", group);
}

// A frame has no settings: after a reload they are read once.
async function readSettings() {
  const response = await fetch("/console/data", { headers: authorization(token), cache: "no-store" });
  if (!response.ok) return;
  const { settings, state } = await response.json();
  drawSettings(settings, state);
}

function receive(frame) {
  if (frame.fields) { fields = frame.fields; bounds = frame.latency_bounds_us; capacity = frame.capacity; points = []; }
  const last = points.at(-1)?.at ?? -1;
  for (const values of frame.points) {
    const point = Object.fromEntries(fields.map((name, at) => [name, values[at]]));
    if (point.at > last) points.push(point);
  }
  points.splice(0, points.length - capacity);
  if (frame.settings) drawSettings(frame.settings, frame.state);
  else if (frame.state.settings_version !== settingsVersion) readSettings();
  drawState(frame.state);
  charts.forEach((chart) => chart.draw(points, capacity));
  document.body.dataset.frames = Number(document.body.dataset.frames ?? 0) + 1;
  document.body.dataset.points = points.length;
  document.body.dataset.live = frame.state.readiness === "draining" ? "no" : "yes";
}

const authorization = (value) => value ? { authorization: `Bearer ${value}` } : {};

async function read() {
  const response = await fetch("/console/stream", { headers: authorization(token), cache: "no-store" });
  if (response.status === 401) { signIn(token ? "The token is not the one of admin.token_file." : ""); return false; }
  if (!response.ok) throw new Error((await response.json()).error ?? `status ${response.status}`);
  by("sign-in").hidden = true;
  by("content").hidden = false;
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return true;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.forEach((text) => receive(JSON.parse(text)));
  }
}

async function run() {
  for (let wait = 1000; ; ) {
    try {
      if (!await read()) return;
      wait = 1000;
    } catch (error) {
      put("identity", element("b", { class: "bad" }, "not connected: "), String(error.message));
      document.body.dataset.live = "no";
      wait = Math.min(wait * 2, 10000);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function signIn(message) {
  put("sign-in-result", message);
  by("sign-in").hidden = false;
  by("content").hidden = true;
  put("identity", "locked");
  by("sign-in-token").focus();
}

by("sign-in-form").addEventListener("submit", (event) => { event.preventDefault(); token = by("sign-in-token").value.trim(); run(); });

// Between two frames the countdown goes on.
setInterval(() => { for (const gate of gateTimes) { gate[1] = Math.max(gate[1] - 1, 0); gate[0].textContent = clock(gate[1]); } }, 1000);

function selection() {
  const query = new URLSearchParams();
  for (const name of ["flow", "tenant", "subject"]) {
    const value = by(`purge-${name}`).value.trim();
    if (value) query.set(name, value);
  }
  return query;
}

// The purge of the selection as a command, since without an admin token only a command on this machine may purge.
function showCommand() {
  const options = [...selection()].map(([name, value]) => ` --${name} ${/^[\w.-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`}`);
  const command = `connector-cache purge --admin ${location.origin}${options.join("")}`;
  if (by("purge-command").textContent !== command) put("purge-command", command);
}

async function admin(method, query) {
  const response = await fetch(`/cache${query.size ? `?${query}` : ""}`, { method, headers: authorization(token), cache: "no-store" });
  const body = await response.json();
  if (!response.ok) throw new Error(response.status === 401 ? "The admin token has changed: load the page again." : body.error);
  return body;
}

const report = (text, isBad = false) => { by("purge-result").className = isBad ? "bad" : ""; put("purge-result", text); };
by("purge").addEventListener("input", () => { by("ask").disabled = true; showCommand(); });
by("purge").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    // Without an admin token a browser receives the count of all responses only.
    const mayPurge = by("purge-note").hidden, query = mayPurge ? selection() : new URLSearchParams(), found = await admin("GET", query);
    if (!mayPurge) return report(`${found.entries} responses are in memory.${selection().size ? " The command above counts those of the selection, and asks." : ""}`);
    const count = found.matching ?? found.entries;
    report(`${count} responses match. Nothing is removed yet.`);
    by("ask").disabled = false;
    by("confirm-text").textContent = query.size ? `Remove the ${count} responses that match ${[...query].map(([name, value]) => `${name} ${value}`).join(", ")}?` : `Remove all ${count} responses?`;
  } catch (error) { report(error.message, true); }
});
by("ask").addEventListener("click", () => { by("confirm").returnValue = ""; by("confirm").showModal(); });
by("confirm").addEventListener("close", async () => {
  if (by("confirm").returnValue !== "yes") return;
  by("ask").disabled = true;
  try {
    const done = await admin("DELETE", selection());
    const replicas = done.replicas === undefined ? "" : ` ${done.confirmed} of ${done.replicas} replicas confirmed.${done.unconfirmed?.length ? ` Not confirmed: ${done.unconfirmed.join(", ")}.` : ""}`;
    report(`Removed ${done.purged} responses.${replicas}`);
  } catch (error) { report(error.message, true); }
});

let runbook;
by("banner").addEventListener("click", async (event) => {
  const section = event.target.dataset?.section;
  if (!section) return;
  try {
    runbook ??= await (await fetch("/console/runbook.md")).text();
    const found = runbook.split(/^## /m).find((text) => text.startsWith(`${section}\n`));
    by("runbook-title").textContent = section;
    by("runbook-text").textContent = (found ?? "").slice(section.length).trim();
    by("runbook").showModal();
  } catch (error) { runbook = undefined; }
});

const themes = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  by("theme").textContent = `Theme: ${theme}`;
  try { localStorage.setItem("theme", theme); } catch { /* The choice lasts until the page is closed. */ }
}
by("theme").addEventListener("click", () => setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % 3]));
try { setTheme(themes.find((theme) => theme === localStorage.getItem("theme")) ?? "system"); } catch { setTheme("system"); }
run();
