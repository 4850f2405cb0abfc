// Times in the viewer's own words: `moment` becomes local date and time, `countdown` the seconds that are left.

function words(time) {
  const date = new Date(time.dateTime);
  if (time.dataset.time === "moment") return moment(date);
  const seconds = Math.ceil((date - Date.now()) / 1000);
  if (seconds <= 0) return "any moment now";
  return seconds < 120 ? `in ${seconds} s` : `in ${Math.round(seconds / 60)} min`;
}

function moment(date) {
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleString(undefined, { year, month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
}

function tell() {
  for (const time of document.querySelectorAll("time[data-time]")) {
    if (time.textContent !== words(time)) time.textContent = words(time);
  }
}

tell();
setInterval(tell, 1000);
new MutationObserver(tell).observe(document.body, { childList: true, subtree: true });
