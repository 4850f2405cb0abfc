// Uploads what is chosen or dropped, one file after the other, each with a row that says how far it is. By tus, which
// goes on where it was after a broken line, a restart of the server or a reload of this page; or as a form, where the
// tus client is not installed.

const form = document.querySelector("#upload");
const input = form.elements.file;
const rows = form.querySelector("[data-uploads]");
const template = form.querySelector("[data-row]");
const resumable = Boolean(window.tus && form.dataset.tus);

const PAUSES = [0, 1000, 2000, 4000, 8000, 15000, 15000, 15000]; // milliseconds before each new try of a broken line
const MEASURED = 5000; // milliseconds over which the speed is taken

const uploads = new Map(); // by row
const waiting = []; // uploads whose turn has not come
let current; // the upload that is being sent

class Upload {
  // Without a file, it is one that was begun before: all that is known of it is in its row.
  constructor(row, file) {
    this.row = row;
    this.file = file;
    this.url = row.dataset.upload; // where it arrives, once it has been announced
    // What was sent already and only the answer lost, the server recognises by its key: it does not become two videos.
    this.key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.on("again", () => this.wait());
    this.on("resume", () => (this.file ? this.wait() : choose(this)));
    this.on("pause", () => this.pause());
    this.on("cancel", () => this.drop());
    uploads.set(row, this);
  }

  static of(file) {
    const row = template.content.firstElementChild.cloneNode(true);
    Object.assign(row.dataset, { name: file.name, size: file.size, modified: file.lastModified });
    row.querySelector("[data-part=title]").textContent = file.name;
    row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
    rows.append(row);
    return new Upload(row, file);
  }

  part(name) { return this.row.querySelector(`[data-part=${name}]`); }
  button(name) { return this.row.querySelector(`[data-do=${name}]`); }
  on(name, act) { this.button(name).addEventListener("click", act); }
  get bar() { return this.part("progress"); }
  get name() { return this.row.dataset.name; }

  // The same name, size and time of its last change: as sure as one can be without reading it.
  isOf(file) {
    const { name, size, modified } = this.row.dataset;
    return file.name === name && file.size === Number(size) && file.lastModified === Number(modified);
  }

  wait() {
    const reason = refusal(this.file);
    if (reason) return this.fail(reason, false);
    this.show("waiting", "Waits for its turn");
    waiting.push(this);
    next();
  }

  send() {
    this.began = this.samples = undefined;
    this.show("sending", "Starting", this.bar.value);
    if (resumable) this.sendByTus();
    else this.sendForm();
  }

  sendByTus() {
    const { name, size, lastModified } = this.file;
    this.request = new tus.Upload(this.file, {
      endpoint: form.dataset.tus,
      uploadUrl: this.url,
      metadata: { filename: name, modified: String(lastModified) },
      chunkSize: Number(form.dataset.chunkBytes),
      retryDelays: PAUSES,
      storeFingerprintForResuming: false, // the server knows what it has of whom, also after another browser began it
      onUploadUrlAvailable: () => { this.url = this.request.url; },
      onShouldRetry: (error) => { this.note("The connection broke. Trying again"); return isPassing(error); },
      onProgress: (sent) => this.progress(sent, size),
      onSuccess: () => this.finish(),
      onError: (error) => this.failBy(error),
    });
    this.request.start();
  }

  async finish() {
    try {
      const response = await fetch(`${form.dataset.api}/${this.url.split("/").at(-1)}`); // the video has the upload's id
      if (response.ok) announce((await response.json()).job);
    } catch (error) {
      console.info("The page will hear of it from the server:", error);
    }
    this.remove();
    done(this);
  }

  failBy(error) {
    const response = error.originalResponse;
    const gone = [404, 410].includes(response?.getStatus());
    if (gone) this.url = undefined; // the next try begins a new one
    if (!response) this.fail("The connection broke. What was sent is kept.");
    else this.fail(answer(response.getStatus(), parsed(response.getBody())));
    done(this);
  }

  sendForm() {
    const request = (this.request = new XMLHttpRequest());
    request.open("POST", form.dataset.api);
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.setRequestHeader("Idempotency-Key", this.key);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => this.progress(loaded, total);
    request.upload.onload = () => this.show("storing", "Sent. Being stored", undefined);
    request.onload = () => {
      if (request.status !== 202) return this.fail(answer(request.status, request.response));
      announce(request.response);
      this.remove();
    };
    request.onerror = () => this.fail("The connection broke before all of it was there.");
    request.onloadend = () => done(this);
    const body = new FormData();
    body.append("title", "");
    body.append("file", this.file);
    request.send(body);
  }

  refuse(file) {
    const reason = `“${file.name}” is another file. To go on, choose “${this.name}” as it was`;
    this.note(reason);
    say(reason);
  }

  pause() {
    this.stop();
    this.show("paused", `Paused at ${this.reached}`, this.bar.value);
    this.button("resume").focus();
  }

  async drop() {
    this.stop();
    this.remove();
    try {
      if (this.url) await tus.Upload.terminate(this.url, { retryDelays: PAUSES });
    } catch (error) {
      console.info("The server will remove it by itself:", error);
    }
  }

  stop() {
    if (waiting.includes(this)) waiting.splice(waiting.indexOf(this), 1);
    this.request?.abort();
    done(this);
  }

  remove() {
    if (this.row.contains(document.activeElement)) input.focus();
    this.row.remove();
    uploads.delete(this.row);
  }

  fail(reason, again = true) {
    this.show("failed", reason, this.bar.value);
    this.button("again").hidden = !again;
    this.button("cancel").textContent = this.url ? "Cancel" : "Dismiss";
    say(`${this.name}: ${reason}`);
  }

  progress(sent, total) {
    const now = performance.now();
    this.samples = [...(this.samples ?? []).filter(([time]) => now - time < MEASURED), [now, sent]];
    const [[time, before]] = this.samples;
    const speed = now - time > 500 ? `, ${size((1000 * (sent - before)) / (now - time))}/s` : "";
    this.reached = `${size(sent)} of ${size(total)}`;
    this.show("sending", this.reached + speed, sent / total);
  }

  note(text) { this.part("note").textContent = text; }

  show(state, note, fraction = state === "waiting" ? this.bar.value : undefined) {
    this.row.dataset.state = state;
    this.note(note);
    this.bar.hidden = !["sending", "storing", "paused"].includes(state);
    if (fraction === undefined) this.bar.removeAttribute("value");
    else this.bar.value = fraction;
    this.button("again").hidden = true;
    this.button("pause").hidden = state !== "sending" || !resumable;
    this.button("resume").hidden = state !== "paused";
    this.button("cancel").textContent = "Cancel";
    this.button("cancel").hidden = state === "storing"; // too late: it may be a job already
  }
}

function next() {
  if (current || !waiting.length) return;
  current = waiting.shift();
  current.send();
}

function done(upload) {
  if (current !== upload) return;
  current = undefined;
  next();
}

function refusal(file) {
  if (file.size > Number(form.dataset.maxBytes)) return form.dataset.tooLarge;
  if (!file.size) return "This file is empty, or a folder. Choose a video.";
}

// Worth another try: no answer at all, another request that has not let go, a server that is not itself.
function isPassing({ originalResponse }) {
  const status = originalResponse?.getStatus() ?? 0;
  return !status || status === 409 || status === 423 || (status >= 500 && status !== 507);
}

function answer(status, problem) {
  if (status === 401 || status === 403) return "You are logged out. Reload the page, log in, and upload it again.";
  return problem?.detail ?? "Something went wrong on our side. Try again in a while.";
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined; // from a proxy on the way
  }
}

// As the server counts: a KB has 1024 bytes.
function size(bytes) {
  const mb = bytes / 2 ** 20;
  return mb < 1 ? `${Math.ceil(bytes / 2 ** 10)} KB` : mb < 1024 ? `${mb.toFixed(1)} MB` : `${(mb / 1024).toFixed(2)} GB`;
}

function announce(job) {
  document.dispatchEvent(new CustomEvent("job", { detail: job }));
}

function say(sentence) {
  document.querySelector("[data-announcer]").textContent = sentence;
}

// What was begun before goes on, if it is the same file.
function take(files) {
  for (const file of files) (begun(file) ?? Upload.of(file)).wait();
}

function begun(file) {
  const upload = [...uploads.values()].find((one) => one.isOf(file) && ["left", "paused", "failed"].includes(one.row.dataset.state));
  if (upload) upload.file = file;
  return upload;
}

let wanted; // the upload for which a file is being chosen

function choose(upload) {
  wanted = upload;
  input.focus();
  input.click();
}

function chosen() {
  if (wanted && ![...input.files].some((file) => wanted.isOf(file))) wanted.refuse(input.files[0]);
  else take(input.files);
  wanted = undefined;
  input.value = ""; // so that the same file can be chosen once more
}

for (const row of [...rows.children]) {
  if (resumable) new Upload(row);
  else row.remove();
}
input.multiple = true;
input.addEventListener("change", chosen);
input.addEventListener("cancel", () => { wanted = undefined; });
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("a[href$='#file']")) return;
  event.preventDefault();
  choose();
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
