// Uploads what is chosen or dropped, one file after the other, each with a row that says how far it is.

const form = document.querySelector("#upload");
const input = form.elements.file;
const rows = form.querySelector("[data-uploads]");
const template = form.querySelector("[data-row]");

const waiting = []; // uploads whose turn has not come
let current; // the upload that is being sent

class Upload {
  constructor(file) {
    this.file = file;
    // What was sent already and only the answer lost, the server recognises by its key: it does not become two videos.
    this.key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.row = template.content.firstElementChild.cloneNode(true);
    this.part("title").textContent = file.name;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.button("again").addEventListener("click", () => { this.wait(); this.button("cancel").focus(); });
    this.button("cancel").addEventListener("click", () => this.drop());
    rows.append(this.row);
  }

  part(name) { return this.row.querySelector(`[data-part=${name}]`); }
  button(name) { return this.row.querySelector(`[data-do=${name}]`); }
  get bar() { return this.part("progress"); }

  wait() {
    const reason = refusal(this.file);
    if (reason) return this.fail(reason, false);
    this.show("waiting", "Waits for its turn", 0);
    waiting.push(this);
    next();
  }

  send() {
    const request = (this.request = new XMLHttpRequest());
    request.open("POST", form.dataset.api);
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.setRequestHeader("Idempotency-Key", this.key);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => {
      this.show("sending", `${size(loaded)} of ${size(total)}`, loaded / total);
    };
    request.upload.onload = () => this.show("storing", "Sent. Being stored", undefined);
    request.onload = () => (request.status === 202 ? this.done(request.response) : this.fail(answer(request)));
    request.onerror = () => this.fail("The connection broke before all of it was there.");
    request.onloadend = () => { current = undefined; next(); };
    const body = new FormData();
    body.append("title", "");
    body.append("file", this.file);
    this.show("sending", "Starting", 0);
    request.send(body);
  }

  done(job) {
    document.dispatchEvent(new CustomEvent("job", { detail: job }));
    this.remove();
  }

  drop() {
    if (waiting.includes(this)) waiting.splice(waiting.indexOf(this), 1);
    this.remove();
    this.request?.abort();
  }

  remove() {
    if (this.row.contains(document.activeElement)) input.focus();
    this.row.remove();
  }

  fail(reason, again = true) {
    this.show("failed", reason, 0);
    this.button("again").hidden = !again;
    this.button("cancel").textContent = "Dismiss";
    document.querySelector("[data-announcer]").textContent = `${this.file.name}: ${reason}`;
  }

  show(state, note, fraction) {
    this.row.dataset.state = state;
    this.part("note").textContent = note;
    this.bar.hidden = state === "waiting" || state === "failed";
    if (fraction === undefined) this.bar.removeAttribute("value");
    else this.bar.value = fraction;
    this.button("again").hidden = true;
    this.button("cancel").textContent = "Cancel";
    this.button("cancel").hidden = state === "storing"; // too late: it may be a job already
  }
}

function next() {
  if (current || !waiting.length) return;
  current = waiting.shift();
  current.send();
}

function refusal(file) {
  if (file.size > Number(form.dataset.maxBytes)) return form.dataset.tooLarge;
  if (!file.size) return "This file is empty, or a folder. Choose a video.";
}

function answer({ status, response }) {
  if (status === 401 || status === 403) return "You are logged out. Reload the page, log in, and upload it again.";
  return response?.detail ?? "Something went wrong on our side. Try again in a while.";
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} KB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

function take(files) {
  for (const file of files) new Upload(file).wait();
}

input.multiple = true;
input.addEventListener("change", () => {
  take(input.files);
  input.value = ""; // so that the same file can be chosen once more
});
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("a[href$='#file']")) return;
  event.preventDefault();
  input.focus();
  input.click();
});

// The whole page takes files, so that one dropped beside the box does not replace the page.
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0; // of elements that the drag has entered and not left
function drag(event, step) {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  depth = Math.max(0, depth + step);
  form.classList.toggle("over", depth > 0);
}
document.addEventListener("dragenter", (event) => drag(event, 1));
document.addEventListener("dragleave", (event) => drag(event, -1));
document.addEventListener("dragover", (event) => drag(event, 0));
document.addEventListener("drop", (event) => {
  drag(event, -depth);
  if (carriesFiles(event)) take(event.dataTransfer.files);
});

window.addEventListener("beforeunload", (event) => {
  if (current || waiting.length) event.preventDefault();
});
if (location.hash === "#file") input.focus();
