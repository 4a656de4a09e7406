// The page of the office until there is a dashboard: the exports, the last calls, live.
// Everything that comes from a call goes in by textContent: models, labels and errors are written by strangers.
"use strict";

const MOST_ROWS = 500;
const at = (id) => document.getElementById(id);
const condition = new URLSearchParams(location.search).get("where") || "";
const shown = new Map();
let cursor = null;
let storeAway = null;

function cell(row, text, className) {
  const td = document.createElement("td");
  td.textContent = text === null || text === undefined || text === "" ? "—" : String(text);
  td.title = td.textContent;
  if (className) td.className = className;
  row.append(td);
  return td;
}

function milliseconds(value) {
  if (value === null || value === undefined) return null;
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`;
}

function started(text) {
  const time = new Date(text);
  const today = new Date().toDateString() === time.toDateString();
  return today ? time.toLocaleTimeString() : time.toLocaleString();
}

function cost(call) {
  if (call.cost_status === "free") return "free";
  if (call.cost_usd === null) return call.cost_status === "none" ? "none" : null;
  return `${call.cost_status === "estimated" ? "~" : ""}$${call.cost_usd}`;
}

function labels(call) {
  const named = ["section", "session", "customer", "user", "env"].filter((name) => call.labels[name]).map((name) => call.labels[name]);
  const tags = Object.entries(call.labels.tags).map(([name, value]) => `${name}=${value}`);
  return [...named, ...tags].join(" · ");
}

function link(row, id) {
  const anchor = document.createElement("a");
  anchor.href = `/api/v1/calls/${encodeURIComponent(id)}`;
  anchor.textContent = "JSON";
  anchor.setAttribute("aria-label", `Call ${id} as JSON`);
  cell(row, "").replaceChildren(anchor);
}

function callRow(call) {
  const row = document.createElement("tr");
  const usage = call.usage || {};
  const served = call.served_model && call.served_model !== call.model ? ` → ${call.served_model}` : "";
  cell(row, started(call.started_at)).title = call.started_at;
  const outcome = cell(row, call.status === null ? call.outcome : `${call.outcome} ${call.status}`, call.outcome);
  if (call.error) outcome.title = [call.error.type, call.error.code, call.error.message].filter(Boolean).join(": ");
  cell(row, call.model ? call.model + served : `${call.method} ${call.path}`);
  cell(row, call.upstream);
  cell(row, call.key);
  cell(row, labels(call));
  cell(row, usage.input_tokens, "number");
  cell(row, usage.output_tokens, "number");
  cell(row, milliseconds(call.time_to_first_chunk_ms), "number");
  cell(row, milliseconds(call.latency_ms), "number");
  cell(row, cost(call), "number");
  link(row, call.id);
  return row;
}

function runningRow(opening) {
  const row = document.createElement("tr");
  cell(row, started(opening.started_at)).title = opening.started_at;
  cell(row, "under way", "running");
  cell(row, opening.model || `${opening.method} ${opening.path}`);
  cell(row, opening.upstream);
  cell(row, opening.key);
  cell(row, [opening.section, opening.session].filter(Boolean).join(" · "));
  for (let empty = 0; empty < 6; empty += 1) cell(row, null, "number");
  return row;
}

function finish(id) {
  const running = at(`running-${id}`);
  if (running) running.remove();
}

function addCall(call, { newest }) {
  finish(call.id);
  if (shown.has(call.id)) return;
  const row = callRow(call);
  shown.set(call.id, row);
  if (newest) {
    row.className = "new";
    at("calls").prepend(row);
    while (shown.size > MOST_ROWS) {
      const oldest = at("calls").lastElementChild;
      for (const [id, element] of shown) if (element === oldest) shown.delete(id);
      oldest.remove();
    }
  } else {
    at("calls").append(row);
  }
  explainEmptiness();
}

function addRunning(opening) {
  if (shown.has(opening.id) || at(`running-${opening.id}`)) return;
  const row = runningRow(opening);
  row.id = `running-${opening.id}`;
  at("running").prepend(row);
}

function explainEmptiness() {
  const empty = at("empty");
  empty.hidden = shown.size > 0;
  if (!at("problem").hidden) empty.hidden = true;
  else if (storeAway) empty.textContent = `Calls cannot be shown: ${storeAway} They are being kept in the journal, and appear when it is back.`;
  else if (condition) empty.textContent = "No recorded call meets this condition.";
  else empty.textContent = "No call has been recorded yet. The first one appears here by itself; try one with the lines above.";
}

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function ask(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (answer.status === 401) location.assign("/");
  const body = answer.status === 204 ? {} : await answer.json();
  if (answer.ok) return body;
  const error = new Error(body.detail || `The office answered ${answer.status}.`);
  error.status = answer.status;
  throw error;
}

async function load() {
  const query = new URLSearchParams({ limit: "50" });
  if (condition) query.set("where", condition);
  if (cursor) query.set("cursor", cursor);
  try {
    const page = await ask(`/api/v1/calls?${query}`);
    storeAway = null;
    problem("");
    for (const call of page.calls) addCall(call, { newest: false });
    cursor = page.next_cursor;
    at("older").hidden = !cursor;
  } catch (error) {
    if (error.status === 400) problem(error.message);
    else storeAway = error.message;
  }
  explainEmptiness();
}

function listen() {
  const source = new EventSource(condition ? `/api/v1/stream?${new URLSearchParams({ where: condition })}` : "/api/v1/stream");
  const state = (className, text) => {
    at("state").className = className;
    at("state-text").textContent = text;
  };
  source.addEventListener("open", () => {
    at("running").replaceChildren();
    state("live", "live");
    if (storeAway) load();
  });
  source.addEventListener("error", () => state("away", "not connected; trying again"));
  source.addEventListener("opened", (event) => addRunning(JSON.parse(event.data)));
  source.addEventListener("call", (event) => addCall(JSON.parse(event.data), { newest: true }));
  source.addEventListener("cut_off", (event) => state("away", JSON.parse(event.data).reason));
}

function start() {
  at("exports").textContent = [
    `export OPENAI_BASE_URL=${location.origin}/v1`,
    `export OPENAI_API_BASE=${location.origin}/v1`,
    `export ANTHROPIC_BASE_URL=${location.origin}`,
  ].join("\n");
  at("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(at("exports").textContent);
    at("copy").textContent = "Copied";
  });
  at("sign-out").addEventListener("click", async () => {
    await ask("/api/v1/session", { method: "DELETE" });
    location.assign("/");
  });
  at("where").value = condition;
  at("older").addEventListener("click", load);
  load().then(() => {
    // A condition that is wrong would be refused there too, and the browser would never say why.
    if (at("problem").hidden) listen();
    else at("state-text").textContent = "not listening";
  });
}

start();
