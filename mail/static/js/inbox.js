// Shows new mails as they come. There is no push for them: this is a page for development.

const EVERY = 2000; // milliseconds

async function renew() {
  if (!document.hidden) await show().catch((error) => console.info("The inbox stays as it is for now:", error));
  setTimeout(renew, EVERY);
}

async function show() {
  const response = await fetch(location.href, { signal: AbortSignal.timeout(10000) });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const shown = document.querySelector("[data-mails]"), fresh = page.querySelector("[data-mails]");
  if (fresh && fresh.dataset.mails !== shown.dataset.mails) shown.replaceWith(fresh);
}

setTimeout(renew, EVERY);
