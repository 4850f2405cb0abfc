// Cancel, try again, delete. The forms work by themselves; sent from here they leave the page as it is, so that what
// plays plays on, and uploads go on.

class Refusal extends Error {}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.jobApi) return;
  event.preventDefault();
  if (form.ariaBusy) return;
  form.ariaBusy = "true";
  const complaint = form.closest("[data-job]").querySelector("[data-part=complaint]");
  complaint.hidden = true;
  try {
    await send(form);
  } catch (error) {
    complaint.textContent = error instanceof Refusal ? error.message : "We could not be reached. Try again.";
    complaint.hidden = false;
    document.dispatchEvent(new Event("job:doubted"));
  } finally {
    form.ariaBusy = null;
  }
});

async function send(form) {
  const method = form.dataset.method ?? "POST";
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const response = await fetch(form.dataset.jobApi, { method, headers });
  if (response.status === 401 || response.status === 403) throw new Refusal("You are logged out. Reload the page to log in.");
  if (method === "DELETE" && (response.ok || response.status === 404)) return announce("job:deleted", form.closest("[data-job]").dataset.job);
  const answer = await response.json();
  if (!response.ok) throw new Refusal(answer.detail);
  announce("job", answer);
}

function announce(event, detail) {
  document.dispatchEvent(new CustomEvent(event, { detail }));
}
