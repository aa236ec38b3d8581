// The live page: calls in progress by polling, alerts by WebSocket, and what was missed fetched after each connect.

const MAX_ALERTS = 500; // in the page; the oldest go
const POLL_MS = 2000;
const PING_AFTER_MS = 20_000; // without a word from the server
const PONG_WITHIN_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
const FETCH_TIMEOUT_MS = 10_000;
const SIGNED_OUT_CODES = [4001, 4002];
const SEVERITIES = ["info", "low", "medium", "high", "critical"];
const CHANNELS = { all: "caller and agent", mixed: "mixed" };

const MEANING = {
  interrupt: "The other party cut in, and this party stopped talking.",
  overlap: "Both parties are talking at the same time.",
  long_pause: "Nobody has said anything for several seconds.",
  volume_spike: "This party suddenly got much louder, perhaps upset.",
  silence: "Nobody is heard where someone should be: the line may be dead, or the call on hold.",
  speaker_change: "Someone else has started to talk.",
  background_noise: "Noise makes this party hard to understand.",
  echo: "The other party hears their own voice come back.",
  distortion: "This party's sound is overdriven and harsh.",
  dropouts: "Pieces of this party's speech are missing.",
  excessive_silence: "Most of the last minute was silence.",
  volume_inconsistency: "One party is much quieter than before, or than the other.",
  mos: "The line sounds bad enough to make the call hard work.",
  negative: "What was said sounds unhappy.",
};

const byId = (id) => document.getElementById(id);
const alertList = byId("alerts");

const alerts = new Map(); // id -> its list item
const calls = new Map(); // callId -> { item, startedAt }
const filter = { callId: null, severity: "info" };

let socket = null;
let signedOut = false;
let attempt = 0; // connects in vain since the last one that worked
let retryTimer = null;
let retryAt = null;
let heardAt = 0;
let pingedAt = null; // when a ping went out that nothing has answered yet
let clockSkewMs = 0; // server's clock minus ours
let beforeGap = null; // ids of the alerts that were there before a gap that is not filled yet

// Connection

function showConnection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection").querySelector("[role=status]").textContent = text;
  showCountdown();
}

// Apart from the status text, so that a screen reader does not count along.
function showCountdown() {
  byId("countdown").textContent = retryAt === null ? "" : `in ${Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))} s`;
}

function connect() {
  clearTimeout(retryTimer);
  retryAt = null;
  pingedAt = null;
  heardAt = Date.now();
  beforeGap ??= new Set(alerts.keys());
  showConnection("connecting", "Connecting…");
  const url = new URL("/ws/alerts", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(url);
  socket = opened;
  opened.onmessage = ({ data }) => opened === socket && hear(JSON.parse(data));
  opened.onclose = ({ code, reason }) => opened === socket && lose(code, reason);
}

function hear(frame) {
  heardAt = Date.now();
  pingedAt = null;
  if (frame.id !== undefined) {
    if (addAlert(frame)) announce(frame);
  } else if (frame.type === "connected") {
    welcome(frame.payload);
  } else if (frame.type === "server_shutdown") {
    socket.close();
    lose(1001, "");
  }
}

function welcome({ timestamp }) {
  attempt = 0;
  clockSkewMs = timestamp - Date.now();
  showConnection("live", "Live");
  catchUp();
  refreshCalls();
}

function lose(code, reason) {
  socket = null;
  if (SIGNED_OUT_CODES.includes(code)) {
    signOut();
    return;
  }
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** attempt);
  const delay = Math.max(RETRY_MIN_MS, ceiling * (0.5 + Math.random() / 2));
  attempt += 1;
  retryAt = Date.now() + delay;
  retryTimer = setTimeout(connect, delay);
  showConnection("reconnecting", reason ? `${reason}. Reconnecting` : "Reconnecting");
}

function signOut() {
  signedOut = true;
  clearTimeout(retryTimer);
  retryAt = null;
  socket?.close();
  socket = null;
  showConnection("signed-out", "Signed out");
  byId("sign-in").hidden = false;
}

// A network that died says nothing, and a page that then says "Live" would be believed.
function checkLine() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const now = Date.now();
  if (pingedAt === null && now - heardAt > PING_AFTER_MS) {
    pingedAt = now;
    socket.send('{"type":"ping"}');
  } else if (pingedAt !== null && now - pingedAt > PONG_WITHIN_MS) {
    socket.close();
    lose(1006, "No answer from the server");
  }
}

// What is asked of the server

async function getJson(path) {
  const answer = await fetch(path, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });
  if (answer.status === 401 || answer.status === 403) signOut();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function catchUp() {
  const asked = socket;
  try {
    (await missedAlerts()).reverse().forEach(addAlert);
    if (socket === asked) beforeGap = null;
  } catch {
    setTimeout(() => socket === asked && catchUp(), POLL_MS);
  }
}

// Newest first, page by page, until a page reaches what was there before the gap.
async function missedAlerts() {
  const missed = [];
  let path = "/api/v1/alerts/?pageSize=50";
  while (path && missed.length < MAX_ALERTS) {
    const { next, results } = await getJson(path);
    missed.push(...results);
    const reached = results.some((alert) => beforeGap?.has(alert.id));
    path = next && !reached ? pathOf(next) : null;
  }
  return missed;
}

// A proxy may make the server believe in another origin than ours.
function pathOf(address) {
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

async function refreshCalls() {
  let problem = false;
  try {
    const { results } = await getJson("/api/v1/calls/?active=true");
    showCalls(results);
  } catch {
    problem = !signedOut;
  }
  byId("calls-problem").hidden = !problem;
}

async function watchCalls() {
  if (!document.hidden) await refreshCalls();
  if (!signedOut) setTimeout(watchCalls, POLL_MS);
}

// Calls

function fromTemplate(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

function showCalls(current) {
  const ids = new Set(current.map((call) => call.callId));
  for (const [callId, { item }] of calls) {
    if (!ids.has(callId)) {
      item.remove();
      calls.delete(callId);
    }
  }
  current.forEach(showCall);
  byId("calls-empty").hidden = calls.size > 0;
}

function showCall(call) {
  const item = calls.get(call.callId)?.item ?? addCall(call);
  const count = call.alertCount;
  item.querySelector(".detail").textContent = `${call.protocol} · ${call.channels.join(" and ")}`;
  item.querySelector(".count").textContent = `${count} ${count === 1 ? "alert" : "alerts"}`;
}

function addCall({ callId, startedAt }) {
  const item = fromTemplate("call-template");
  item.dataset.callId = callId;
  item.querySelector(".name").textContent = callId;
  item.querySelector("button").addEventListener("click", () => {
    chooseCall(filter.callId === callId ? null : callId);
  });
  item.querySelector("button").setAttribute("aria-pressed", String(filter.callId === callId));
  calls.set(callId, { item, startedAt });
  byId("calls").append(item);
  showElapsed();
  return item;
}

function showElapsed() {
  const now = Date.now() + clockSkewMs;
  for (const { item, startedAt } of calls.values()) {
    const seconds = Math.max(0, Math.floor((now - startedAt) / 1000));
    const minutes = Math.floor(seconds / 60);
    item.querySelector(".elapsed").textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  }
}

// Alerts

// Puts an alert in its place by time; false if it was there.
function addAlert(alert) {
  if (alerts.has(alert.id)) return false;
  const item = alertItem(alert);
  alerts.set(alert.id, item);
  const older = [...alertList.children].find((other) => Number(other.dataset.timestamp) <= alert.timestamp);
  alertList.insertBefore(item, older ?? null);
  if (alerts.size > MAX_ALERTS) {
    const oldest = alertList.lastElementChild;
    alerts.delete(oldest.dataset.alertId);
    oldest.remove();
  }
  showEmptiness();
  return true;
}

function alertItem(alert) {
  const item = fromTemplate("alert-template");
  const fill = (selector, text) => (item.querySelector(selector).textContent = text);
  Object.assign(item.dataset, {
    alertId: alert.id,
    timestamp: alert.timestamp,
    severity: alert.severity,
    aboutCall: alert.callId ?? "",
  });
  fill(".severity", alert.severity);
  fill("h3", alert.title);
  fill(".message", alert.message);
  fill(".meaning", Object.hasOwn(MEANING, alert.kind) ? MEANING[alert.kind] : "");
  fill("time", wallClock(alert.timestamp));
  fill(".call-id", alert.callId ?? "");
  fill(".channel", CHANNELS[alert.channel] ?? alert.channel ?? "");
  for (const row of item.querySelectorAll("dl div")) row.hidden = row.lastElementChild.textContent === "";
  item.querySelector("time").dateTime = new Date(alert.timestamp).toISOString();
  item.querySelector(".action").hidden = !alert.actionable;
  item.hidden = !isWanted(item);
  return item;
}

function wallClock(timestamp) {
  const when = new Date(timestamp);
  const today = when.toDateString() === new Date().toDateString();
  return today ? when.toLocaleTimeString() : when.toLocaleString();
}

function announce(alert) {
  if (alerts.get(alert.id)?.hidden === false) {
    const line = document.createElement("p");
    line.textContent = `${alert.severity}: ${alert.title}. ${alert.message}`;
    const announcer = byId("announcer");
    announcer.append(line);
    if (announcer.children.length > 5) announcer.firstElementChild.remove();
  }
}

// What is shown of them

function isWanted(item) {
  const severe = SEVERITIES.indexOf(item.dataset.severity) >= SEVERITIES.indexOf(filter.severity);
  return severe && (filter.callId === null || item.dataset.aboutCall === filter.callId);
}

function chooseCall(callId) {
  filter.callId = callId;
  for (const [id, { item }] of calls) {
    item.querySelector("button").setAttribute("aria-pressed", String(id === callId));
  }
  byId("call-filter").hidden = callId === null;
  byId("call-filter").querySelector("strong").textContent = callId ?? "";
  applyFilter();
}

function applyFilter() {
  for (const item of alerts.values()) item.hidden = !isWanted(item);
  showEmptiness();
}

function showEmptiness() {
  const visible = alertList.querySelector("li:not([hidden])") !== null;
  byId("alerts-empty").hidden = alerts.size > 0;
  byId("alerts-filtered").hidden = visible || alerts.size === 0;
}

function tick() {
  showElapsed();
  showCountdown();
  checkLine();
}

function start() {
  JSON.parse(byId("recent-alerts").textContent).reverse().forEach(addAlert);
  showEmptiness();
  byId("minimum-severity").addEventListener("change", (event) => {
    filter.severity = event.target.value;
    applyFilter();
  });
  byId("call-filter").querySelector("button").addEventListener("click", () => chooseCall(null));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !signedOut) refreshCalls();
  });
  addEventListener("online", () => {
    if (retryAt !== null) connect();
  });
  connect();
  watchCalls();
  setInterval(tick, 1000);
}

start();
