// The live page: calls in progress by polling, alerts and their changes by WebSocket, which resumes where it broke off;
// acknowledging and resolving by REST.

const MAX_ALERTS = 500; // in the page; the oldest go
const POLL_MS = 2000;
const PING_AFTER_MS = 20_000; // without a word from the server
const PONG_WITHIN_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
const FETCH_TIMEOUT_MS = 10_000;
const QUIET_MS = 5000;
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
  wrong_format: "The audio is not in the format that was announced, so nothing can be heard in it.",
  engine_fault: "The analysis of this call failed. The call itself goes on.",
  analysis_lag: "The analysis is behind, so alerts about this call come late.",
  lost: "No audio has come for a while: the phone system or the network may have dropped the call.",
};

const MEANING_OF_TYPE = {
  call_event: "Something happened in the conversation.",
  anomaly: "Something is wrong with the sound of the call.",
  quality_degraded: "The call is hard to understand.",
  sentiment_shift: "The mood of the call has changed.",
  call_summary: "What happened in the call, in short.",
  connection: "The call's audio has begun to come in.",
  disconnection: "The call's audio has ended.",
};

const byId = (id) => document.getElementById(id);
const alertList = byId("alerts");

const alerts = new Map(); // id -> { alert, item }
const calls = new Map(); // callId -> { item, startedAt }
const filter = { callId: null, severity: "info", acknowledged: true };

let socket = null;
let signedOut = false;
let attempt = 0; // connects in vain since the last one that worked
let retryTimer = null;
let retryAt = null;
let heardAt = 0;
let pingedAt = null; // when a ping went out that nothing has answered yet
let clockSkewMs = 0; // server's clock minus ours
let completeUntil = Number(alertList.dataset.asOf); // by the server's clock: whatever was written before is here
let resumedAt = null; // by the server's clock: what is raised later comes behind all that was missed
let complete = false; // all that was missed has come
let catchingUp = false; // by REST, since it is more than the socket sends again
let connectedAt = 0; // by the server's clock
let lostAt = null; // by the server's clock: when the line last went down
let missed = 0; // alerts that came while it was down

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
  showConnection("connecting", "Connecting…");
  const url = new URL("/ws/alerts", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(url, ["alerts.v2"]);
  socket = opened;
  opened.onmessage = ({ data }) => opened === socket && hear(JSON.parse(data));
  opened.onclose = ({ code, reason }) => opened === socket && lose(code, reason);
}

function serverNow() {
  return Date.now() + clockSkewMs;
}

function hear(frame) {
  heardAt = Date.now();
  pingedAt = null;
  switch (frame.type) {
    case "connected":
      welcome(frame.payload);
      break;
    case "resumed":
      resumedAt = serverNow();
      if (!frame.recovered) catchUp();
      break;
    case "error":
      resumedAt = serverNow();
      catchUp();
      break;
    case "alert.updated":
      changeAlert(frame.alert);
      break;
    case "server_shutdown":
      socket.close();
      lose(1001, "The server restarts", frame.payload.reconnectAfterMs);
      break;
    default:
      if (frame.severity !== undefined) hearAlert(frame);
  }
  if (complete && socket) completeUntil = serverNow();
}

function welcome({ timestamp }) {
  attempt = 0;
  connectedAt = timestamp;
  clockSkewMs = timestamp - Date.now();
  complete = false;
  resumedAt = null;
  showConnection("live", "Live");
  socket.send(JSON.stringify({ type: "resume", since: completeUntil }));
  refreshCalls();
}

function hearAlert(alert) {
  if (resumedAt !== null && alert.timestamp > resumedAt && !catchingUp) complete = true;
  if (!addAlert(alert)) return;
  if (lostAt !== null && lostAt <= alert.timestamp && alert.timestamp < connectedAt) showMissed(alert.id);
  else announce(alert);
}

// Nothing marks the end of what is sent again, but it does not pause for long.
function checkComplete() {
  const quiet = Date.now() - heardAt > QUIET_MS;
  if (socket && resumedAt !== null && quiet && !catchingUp) complete = true;
}

function showMissed(id) {
  missed += 1;
  alerts.get(id).item.querySelector(".away").hidden = false;
  byId("missed").textContent = `While you were away ${missed === 1 ? "one alert" : `${missed} alerts`} came.`;
  byId("missed").hidden = false;
}

function lose(code, reason, delay = nextDelay()) {
  socket = null;
  if (SIGNED_OUT_CODES.includes(code)) {
    signOut();
    return;
  }
  if (complete || lostAt === null) {
    lostAt = heardAt + clockSkewMs;
    missed = 0;
  }
  complete = false;
  catchingUp = false;
  attempt += 1;
  retryAt = Date.now() + delay;
  retryTimer = setTimeout(connect, delay);
  showConnection("reconnecting", reason ? `${reason}. Reconnecting` : "Connection lost. Reconnecting");
}

function nextDelay() {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** attempt);
  return Math.max(RETRY_MIN_MS, ceiling * (0.5 + Math.random() / 2));
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

async function ask(path, options = {}) {
  const answer = await fetch(path, {
    ...options,
    headers: { Accept: "application/json", ...options.headers },
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });
  if (answer.status === 401 || answer.status === 403) signOut();
  return answer;
}

async function getJson(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function catchUp() {
  const asked = socket;
  catchingUp = true;
  try {
    const found = await missedAlerts(new Set(alerts.keys()));
    if (socket !== asked) return;
    catchingUp = false;
    found.reverse().forEach(hearAlert);
  } catch {
    setTimeout(() => socket === asked && catchUp(), POLL_MS);
  }
}

// Newest first, page by page, until a page reaches what was there before.
async function missedAlerts(before) {
  const found = [];
  let path = "/api/v1/alerts/?pageSize=50";
  while (path && found.length < MAX_ALERTS) {
    const { next, results } = await getJson(path);
    found.push(...results);
    path = next && !results.some((alert) => before.has(alert.id)) ? pathOf(next) : null;
  }
  return found;
}

// A proxy may make the server believe in another origin than ours.
function pathOf(address) {
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

async function refreshCalls() {
  let problem = false;
  try {
    const { results } = await getJson("/api/v1/calls/?active=true&pageSize=500");
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
  const now = serverNow();
  for (const { item, startedAt } of calls.values()) {
    const seconds = Math.max(0, Math.floor((now - startedAt) / 1000));
    const minutes = Math.floor(seconds / 60);
    item.querySelector(".elapsed").textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  }
}

// Alerts

// Puts an alert in its place by time; false if it was there, and then it may have changed.
function addAlert(alert) {
  if (alerts.has(alert.id)) {
    changeAlert(alert);
    return false;
  }
  const item = alertItem(alert);
  alerts.set(alert.id, { alert, item });
  fillAlert(alert, item);
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

// What is known of an alert grows with its version; the bare alert of a stream has not all of it.
function changeAlert(change) {
  const known = alerts.get(change.id);
  if (known === undefined || change.version < known.alert.version) return;
  known.alert = { ...known.alert, ...change };
  const focused = document.activeElement;
  const within = known.item.contains(focused);
  fillAlert(known.alert, known.item);
  if (within && focused.closest("[hidden]")) known.item.focus();
  showEmptiness();
}

function alertItem(alert) {
  const item = fromTemplate("alert-template");
  Object.assign(item.dataset, { alertId: alert.id, timestamp: alert.timestamp, aboutCall: alert.callId ?? "" });
  item.querySelector(".acknowledge").addEventListener("click", () => openForm(item, true));
  item.querySelector(".resolve").addEventListener("click", () => resolve(alert.id));
  item.querySelector(".cancel").addEventListener("click", () => openForm(item, false));
  const form = item.querySelector("form");
  form.addEventListener("keydown", (event) => event.key === "Escape" && openForm(item, false));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    acknowledge(alert.id);
  });
  return item;
}

function fillAlert(alert, item) {
  const fill = (selector, text) => (item.querySelector(selector).textContent = text);
  item.dataset.severity = alert.severity;
  fill(".severity", alert.severity);
  fill("h3", alert.title);
  fill(".message", alert.message);
  fill(".meaning", meaning(alert));
  fillTime(item.querySelector(".when time"), alert.timestamp);
  fill(".age", age(alert.timestamp));
  fill(".lasted", alert.endedAt == null ? "" : duration(alert.endedAt - (alert.occurredAt ?? alert.timestamp)));
  fill(".call-id", alert.callId ?? "");
  fill(".channel", CHANNELS[alert.channel] ?? alert.channel ?? "");
  for (const row of item.querySelectorAll("dl div")) row.hidden = row.lastElementChild.textContent === "";
  fillAcknowledged(alert, item);
  showButton(item.querySelector(".resolve"), alert, alert.endedAt == null);
  item.querySelector(".action").hidden = !alert.actionable || isAcknowledged(alert);
  item.hidden = !isWanted(alert);
}

function fillAcknowledged(alert, item) {
  const seen = isAcknowledged(alert);
  item.classList.toggle("acknowledged", seen);
  item.querySelector(".seen").hidden = !seen;
  if (seen) {
    item.querySelector(".by").textContent = alert.acknowledgedBy;
    item.querySelector(".note").textContent = alert.note ? `: ${alert.note}` : "";
    fillTime(item.querySelector(".seen time"), alert.acknowledgedAt);
    item.querySelector("form").hidden = true;
  }
  showButton(item.querySelector(".acknowledge"), alert, !seen && item.querySelector("form").hidden);
}

function showButton(button, alert, shown) {
  button.hidden = !shown;
  button.setAttribute("aria-label", [button.textContent, alert.title, alert.callId].filter(Boolean).join(", "));
}

function isAcknowledged(alert) {
  return alert.acknowledgedAt != null;
}

function meaning({ kind, type }) {
  if (Object.hasOwn(MEANING, kind)) return MEANING[kind];
  return Object.hasOwn(MEANING_OF_TYPE, type) ? MEANING_OF_TYPE[type] : "";
}

function fillTime(element, timestamp) {
  element.textContent = wallClock(timestamp);
  element.dateTime = new Date(timestamp).toISOString();
}

// Acknowledging and resolving

function openForm(item, open) {
  const form = item.querySelector("form");
  form.hidden = !open;
  item.querySelector(".acknowledge").hidden = open;
  showProblem(item, "");
  (open ? form.elements.note : item.querySelector(".acknowledge")).focus();
}

function showProblem(item, text) {
  item.querySelector(".problem").textContent = text;
  item.querySelector(".problem").hidden = text === "";
}

async function acknowledge(id) {
  const { alert, item } = alerts.get(id);
  const form = item.querySelector("form");
  const send = form.querySelector("[type=submit]");
  send.disabled = true;
  if (await seeTo(id, "acknowledge", { note: form.elements.note.value })) {
    say(`${alert.title}: ${item.querySelector(".seen").textContent.trim().replace(/\s+/g, " ")}`);
  }
  send.disabled = false;
}

async function resolve(id) {
  const { alert } = alerts.get(id);
  if (await seeTo(id, "resolve", {})) say(`${alert.title}: resolved`);
}

// Has the server do it, and shows what became of the alert; false if it cannot be done now.
async function seeTo(id, how, body) {
  const { item } = alerts.get(id);
  const path = `/api/v1/alerts/${id}/`;
  showProblem(item, "");
  try {
    const answer = await post(`${path}${how}/`, body);
    if (!answer.ok && answer.status !== 409) throw new Error(`${path}: ${answer.status}`);
    changeAlert(answer.ok ? await answer.json() : await getJson(path)); // 409: somebody was first, and it says who
    return true;
  } catch {
    showProblem(item, `It could not be ${how}d. Try again.`);
    return false;
  }
}

function post(path, body) {
  const { value } = document.querySelector("[name=csrfmiddlewaretoken]");
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": value },
    body: JSON.stringify(body),
  });
}

// Times

function wallClock(timestamp) {
  const when = new Date(timestamp);
  const today = when.toDateString() === new Date().toDateString();
  return today ? when.toLocaleTimeString() : when.toLocaleString();
}

function age(timestamp) {
  const seconds = Math.max(0, Math.floor((serverNow() - timestamp) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function showAges() {
  for (const { alert, item } of alerts.values()) {
    const shown = item.querySelector(".age");
    const text = age(alert.timestamp);
    if (shown.textContent !== text) shown.textContent = text;
  }
}

// What a screen reader says

function announce(alert) {
  if (alerts.get(alert.id)?.item.hidden === false) say(`${alert.severity}: ${alert.title}. ${alert.message}`);
}

function say(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const announcer = byId("announcer");
  announcer.append(line);
  if (announcer.children.length > 5) announcer.firstElementChild.remove();
}

// What is shown of them

function isWanted(alert) {
  const severe = SEVERITIES.indexOf(alert.severity) >= SEVERITIES.indexOf(filter.severity);
  const open = filter.acknowledged || !isAcknowledged(alert);
  return severe && open && (filter.callId === null || alert.callId === filter.callId);
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
  for (const { alert, item } of alerts.values()) item.hidden = !isWanted(alert);
  showEmptiness();
}

function showEmptiness() {
  const visible = alertList.querySelector("li:not([hidden])") !== null;
  byId("alerts-empty").hidden = alerts.size > 0;
  byId("alerts-filtered").hidden = visible || alerts.size === 0;
}

function tick() {
  showElapsed();
  if (!document.hidden) showAges();
  showCountdown();
  checkComplete();
  checkLine();
}

function start() {
  JSON.parse(byId("recent-alerts").textContent).reverse().forEach(addAlert);
  showEmptiness();
  byId("minimum-severity").addEventListener("change", (event) => {
    filter.severity = event.target.value;
    applyFilter();
  });
  byId("hide-acknowledged").addEventListener("change", (event) => {
    filter.acknowledged = !event.target.checked;
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
