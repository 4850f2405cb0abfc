// The bell: how many things have finished that were not seen. Hears of jobs as all scripts do (see cards.js), and asks the
// server for the number then. Pressed, it shows the list in place of going to its page, which looks the same.

const bell = document.querySelector("[data-bell]");
const said = document.querySelector("[data-bell-said]");
const panel = document.querySelector("[data-bell-panel]");

const since = new Date(bell.dataset.rendered);
const heard = new Set(); // ends of jobs, each of which is asked for once
let asking;

document.addEventListener("job", ({ detail: job }) => {
  const end = `${job.id}@${job.version}`;
  if (!["succeeded", "dead"].includes(job.state) || new Date(job.finished_at) < since || heard.has(end)) return;
  heard.add(end);
  clearTimeout(asking);
  asking = setTimeout(count, 300); // others may end with it
});
window.addEventListener("pageshow", (event) => event.persisted && count());

async function count() {
  const before = bell.ariaLabel;
  const page = await fetched(bell.dataset.bell);
  const fresh = page?.querySelector("[data-bell]");
  if (!fresh) return;
  bell.ariaLabel = fresh.ariaLabel;
  bell.replaceChildren(...fresh.childNodes);
  if (bell.ariaLabel !== before) said.textContent = bell.ariaLabel;
}

bell.addEventListener("click", (event) => {
  if (!panel.showPopover || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show();
});
bell.addEventListener("keydown", (event) => {
  if (event.key === " ") {
    event.preventDefault();
    bell.click();
  }
});
panel.addEventListener("toggle", ({ newState }) => {
  bell.ariaExpanded = String(newState === "open");
  if (newState === "closed" && panel.contains(document.activeElement)) bell.focus();
});

async function show() {
  const page = await fetched(bell.href);
  const notices = page?.querySelector(".notices");
  if (!notices) return location.assign(bell.href);
  const all = Object.assign(document.createElement("a"), { href: bell.href, textContent: "See all, and choose what you hear of" });
  panel.replaceChildren(notices, all);
  panel.showPopover();
  panel.focus();
  count(); // what is shown now is seen
}

async function fetched(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    return response.ok && !response.redirected ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
  } catch {
    return null; // the next job that ends asks again
  }
}
