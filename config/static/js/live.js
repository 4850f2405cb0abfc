// Hears of jobs from the server, and says how. A push over the WebSocket is only a hint that may be lost, so we ask now
// and then as well, and often while the socket is down and something is going on.

// Where it is said; on pages that show no jobs, where nobody sees it.
const status = document.querySelector("main [data-live]") ?? document.querySelector("[data-live]");

const OFTEN = 2000, NOW_AND_THEN = 10000; // milliseconds between two questions
const FIRST_PAUSE = 500, LONGEST_PAUSE = 15000; // milliseconds between two attempts to connect

let reachable = true;
let loggedOut = false;

function hear(job) {
  document.dispatchEvent(new CustomEvent("job", { detail: job }));
}

// --- Asking ---

let timer;
let asking = false;
let askAgain = false; // something has happened of which the answer on its way may not know

const unfinished = () => [...document.querySelectorAll("[data-job]:is([data-state=queued], [data-state=running], [data-state=suspended], [data-state=retrying])")];
const pause = () => (connected || !unfinished().length ? NOW_AND_THEN : OFTEN);

function askLater() {
  clearTimeout(timer);
  if (!document.hidden && !loggedOut) timer = setTimeout(askNow, pause());
  tell();
}

async function askNow() {
  askAgain = asking;
  if (asking || loggedOut) return;
  asking = true;
  try {
    await ask();
    reachable = true;
  } catch {
    reachable = false;
  } finally {
    asking = false;
    if (askAgain && !loggedOut) askNow();
    else askLater();
  }
}

async function ask() {
  const jobs = await get(status.dataset.jobsUrl);
  if (!jobs) return;
  jobs.forEach(hear);
  const heard = new Set(jobs.map((job) => job.id));
  for (const { dataset } of unfinished().filter((card) => !heard.has(card.dataset.job))) {
    const job = await get(`${status.dataset.jobsUrl}/${dataset.job}`); // older than the list goes back
    if (job) hear(job);
  }
}

async function get(url) {
  // Not from the cache, which has what is known of a version: how long it will take is not part of that.
  const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  loggedOut = response.status === 401;
  if (response.ok) return response.json();
  if (!loggedOut && response.status !== 404) throw new Error(`${url} answered ${response.status}`);
}

// --- Listening ---

let socket;
let connected = false;
let failures = 0;
let reconnecting;

function connect() {
  clearTimeout(reconnecting);
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${status.dataset.socket}`);
  socket.onmessage = ({ data }) => {
    if (!connected) wasConnected();
    const { jobs, job } = JSON.parse(data);
    (jobs ?? [job]).forEach(hear);
  };
  socket.onclose = wasDisconnected;
}

function wasConnected() {
  connected = true;
  failures = 0;
  askLater();
}

function wasDisconnected() {
  const before = connected;
  connected = false;
  const ceiling = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++);
  reconnecting = setTimeout(connect, ceiling * (0.5 + Math.random() / 2));
  if (before) askNow(); // something may have been missed
  tell();
}

function wake() {
  if (document.hidden) return;
  if (socket.readyState === WebSocket.CLOSED) connect();
  askNow();
}

function tell() {
  status.hidden = false;
  status.dataset.live = loggedOut || !reachable ? "off" : connected ? "on" : "asking";
  if (loggedOut) status.textContent = "You are logged out. Reload the page to log in.";
  else if (!reachable) status.textContent = "No connection. Trying again";
  else if (connected) status.textContent = "Live";
  else status.textContent = failures ? `Reconnecting, checking every ${pause() / 1000} s` : "Connecting";
}

document.addEventListener("job:shown", askLater);
document.addEventListener("job:doubted", askNow);
document.addEventListener("visibilitychange", wake);
window.addEventListener("online", wake);
window.addEventListener("pageshow", (event) => event.persisted && wake());
window.addEventListener("offline", () => {
  reachable = false;
  socket.close();
  tell();
});

connect();
askLater();
