// The operators' pages move while jobs move: every two seconds the page is fetched anew, and the parts marked
// data-live are replaced. What a person has ticked, opened or focused in them stays so.

const EVERY = 2000;
const live = () => [...document.querySelectorAll("[data-live][id]")];
const control = document.querySelector("[data-live-switch]");

async function refresh() {
  const response = await fetch(location.href, {headers: {"X-Requested-With": "XMLHttpRequest"}});
  if (!response.ok || response.redirected) throw new Error(response.statusText);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of live()) {
    const next = fresh.getElementById(part.id);
    if (next && on() && !part.querySelector(":active")) replace(part, next);
  }
  showSelection();
}

function replace(part, next) {
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  for (const box of part.querySelectorAll("input:checked")) next.querySelector(`#${box.id}`)?.setAttribute("checked", "");
  for (const opened of part.querySelectorAll("details[open]")) next.querySelector(`#${opened.id}`)?.setAttribute("open", "");
  part.replaceChildren(...next.childNodes);
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
}

const on = () => control.getAttribute("aria-pressed") === "true";

async function keepFresh() {
  if (on() && document.visibilityState === "visible") {
    try {
      await refresh();
      control.classList.remove("failed");
    } catch {
      control.classList.add("failed"); // and try again: the site may be restarting
    }
  }
  setTimeout(keepFresh, EVERY);
}

function showSelection() {
  const form = document.querySelector("[data-selection]");
  if (!form) return;
  const number = form.querySelectorAll("[name=id]:checked").length;
  const selected = form.querySelector("[data-selected]");
  selected.hidden = !number;
  selected.textContent = `, ${number} selected`;
  for (const which of form.querySelectorAll("[data-which]")) which.textContent = number || "all";
}

if (control && live().length) {
  control.hidden = false;
  control.addEventListener("click", () => control.setAttribute("aria-pressed", String(!on())));
  document.addEventListener("change", showSelection);
  setTimeout(keepFresh, EVERY);
}
showSelection();
