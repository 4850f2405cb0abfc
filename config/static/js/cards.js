// Keeps the cards of jobs true. Of two versions of a job the higher is newer, and what is older is ignored, so it does
// not matter by which way, in which order or how often a job is heard of.
//
// The scripts of a page meet in events of the document:
//   job          a job has been heard of: from the server (live.js), or as the answer to a request (upload.js, actions.js)
//   job:deleted  there is nothing to show of this job any more; the detail is its id
//   job:shown    a card has been put in its place
//   job:doubted  a request went wrong: what is shown may not be so

const cards = document.querySelector("[data-cards]"); // where new ones go, and which; the page of a single video has none
const announcer = document.querySelector("[data-announcer]");

const heard = new Map(); // the newest version heard of each job, for a card that was on its way meanwhile
const wanted = new Map(); // the version to be shown of each job whose card is being fetched
const deleted = new Set(); // jobs of which there is nothing to show any more

const cardOf = (id) => document.querySelector(`[data-job="${CSS.escape(id)}"]`);
const cardAbout = (page) => page && document.querySelector(`[data-page="${CSS.escape(page)}"]`); // whatever job it shows
const versionOf = (card) => Number(card?.dataset.version ?? 0);
const part = (card, name) => card.querySelector(`[data-part=${name}]`);

document.addEventListener("job", ({ detail: job }) => {
  heard.set(job.id, Math.max(job.version, heard.get(job.id) ?? 0));
  const card = cardOf(job.id);
  if (!card) {
    const about = cardAbout(job.links.page);
    if (about && isLater(job, about)) renew(job.id, about.dataset.cardUrl, job.version);
    else if (!about && isNew(job)) renew(job.id, `${job.links.page}/card`, job.version);
    return;
  }
  if (job.version > versionOf(card)) {
    if (isSameAttempt(job, card)) advance(card, job);
    else return renew(job.id, card.dataset.cardUrl, job.version);
  }
  if (job.version === versionOf(card)) foresee(card, job);
});

document.addEventListener("job:deleted", (event) => remove(event.detail));

// About what this page shows, and begun after it was made, here or in another tab. Older jobs without a card are on another page, or deleted.
function isNew(job) {
  const since = cards?.dataset.rendered;
  return since && job.links.page?.startsWith(cards.dataset.cards) && !deleted.has(job.id) && new Date(job.created_at) > new Date(since);
}

// Asked for after the job that the card shows, as when a video is to be replaced.
function isLater(job, { dataset }) {
  return !deleted.has(job.id) && new Date(job.created_at) > new Date(dataset.asked ?? 0);
}

function isSameAttempt(job, { dataset }) {
  return ["running", "suspended"].includes(job.state) && dataset.state === job.state && job.attempt === Number(dataset.attempt);
}

function advance(card, job) {
  card.dataset.version = job.version;
  part(card, "note").textContent = job.note || "Getting started";
  if (job.progress === null) return;
  const bar = part(card, "progress");
  bar.value = Math.max(job.progress, bar.value);
  part(card, "percent").textContent = `${Math.round(bar.value * 100)}%`;
}

// What may be expected of a job changes with time too, while its version stays.
function foresee(card, { outlook }) {
  const words = part(card, "outlook");
  if (words && outlook) words.textContent = outlook.words;
}

async function renew(id, url, version) {
  const busy = wanted.has(id);
  wanted.set(id, Math.max(version, wanted.get(id) ?? 0));
  if (busy) return;
  try {
    // The job may move on while its card is on the way.
    for (let tries = 3; tries && versionOf(cardOf(id)) < wanted.get(id) && !deleted.has(id); tries--) await fetchCard(id, url);
  } catch (error) {
    console.info("Until it is heard of again, an older card is shown:", error);
  } finally {
    wanted.delete(id);
  }
}

async function fetchCard(id, url) {
  const response = await fetch(url);
  if (response.status === 404) return remove(id);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const card = page.querySelector(`[data-job="${CSS.escape(id)}"]`);
  if (!card) deleted.add(id);
  else if (versionOf(card) > versionOf(cardOf(id))) put(card, cardOf(id) ?? cardAbout(card.dataset.page));
}

function put(card, old) {
  if (old?.querySelector("video")?.paused === false) return;
  if (old) replace(old, card);
  else cards.insertBefore(card, [...cards.children].find((one) => one.dataset.created < card.dataset.created) ?? null);
  announcer.textContent = card.dataset.sentence;
  document.dispatchEvent(new Event("job:shown"));
  for (const within of card.querySelectorAll("[data-job]")) {
    const { job: id, cardUrl } = within.dataset;
    if (heard.get(id) > versionOf(within)) renew(id, cardUrl, heard.get(id));
  }
}

function replace(old, card) {
  const hadFocus = old.contains(document.activeElement);
  if (old.querySelector("details[open]")) card.querySelector("details")?.setAttribute("open", "");
  old.replaceWith(card);
  if (hadFocus) card.querySelector("h1, h2 a").focus({ preventScroll: true });
}

function remove(id) {
  deleted.add(id);
  const card = cardOf(id);
  if (!card) return;
  const hadFocus = card.contains(document.activeElement);
  announcer.textContent = `“${card.querySelector("h1, h2").textContent.trim()}” was deleted.`;
  card.remove();
  if (hadFocus) document.querySelector("#main").focus({ preventScroll: true });
}
