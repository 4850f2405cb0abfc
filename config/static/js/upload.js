// Uploads what is chosen or dropped, one file after the other, each with a row that says how far it is. By tus, or in
// parts straight to the object store if the site has one: both go on where they were after a broken line, a restart of
// the server or a reload of this page. As a form, where the tus client is not installed.

const form = document.querySelector("#upload");
const input = form.elements.file;
const rows = form.querySelector("[data-uploads]");
const template = form.querySelector("[data-row]");
const { multipart } = form.dataset;
const resumable = Boolean(multipart || (window.tus && form.dataset.tus));

const PAUSES = [0, 1000, 2000, 4000, 8000, 15000, 15000, 15000]; // milliseconds before each new try of a broken line
const BROKEN = "The connection broke. Trying again";
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

  // What the server is told of it.
  get said() {
    const { name: filename, lastModified } = this.file;
    const { replaces } = form.dataset;
    return { filename, modified: String(lastModified), ...(replaces && { replaces }) };
  }

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
    if (multipart) this.sendInParts();
    else if (resumable) this.sendByTus();
    else this.sendForm();
  }

  sendByTus() {
    const { size } = this.file;
    this.request = new tus.Upload(this.file, {
      endpoint: form.dataset.tus,
      uploadUrl: this.url,
      metadata: this.said,
      chunkSize: Number(form.dataset.chunkBytes),
      retryDelays: PAUSES,
      storeFingerprintForResuming: false, // the server knows what it has of whom, also after another browser began it
      onUploadUrlAvailable: () => { this.url = this.request.url; },
      onShouldRetry: (error) => { this.note(BROKEN); return isPassing(error.originalResponse?.getStatus()); },
      onProgress: (sent) => this.progress(sent, size),
      onSuccess: () => this.finish(),
      onError: ({ originalResponse: response }) => this.failBy(response?.getStatus(), parsed(response?.getBody())),
    });
    this.request.start();
  }

  // Each part goes to an address that the server signs for it. What is there already is not sent again.
  async sendInParts() {
    const { size } = this.file;
    const { signal } = (this.request = new AbortController());
    const ask = (method, address, body) => this.persist(signal, () => call(method, address, body, signal));
    try {
      const upload = this.url ? await ask("GET", this.url) : await ask("POST", multipart, { size, ...this.said });
      this.url = `${multipart}/${upload.id}`;
      for (let number = 1, start = 0; start < size; number++, start += upload.part_size) {
        if (upload.arrived.includes(number)) continue;
        const part = this.file.slice(start, start + upload.part_size);
        await this.persist(signal, async () => {
          const { url } = await call("POST", `${this.url}/parts/${number}`, undefined, signal);
          await put(url, part, (sent) => this.progress(start + sent, size), signal);
        });
      }
      this.show("storing", "Sent. Being stored", undefined);
      await ask("POST", `${this.url}/complete`);
      this.finish();
    } catch (error) {
      if (!signal.aborted) this.failBy(error.status, error.problem);
    }
  }

  async persist(signal, act) {
    for (const pause of [...PAUSES, undefined]) {
      try {
        return await act();
      } catch (error) {
        if (signal.aborted || pause === undefined || error.status === 409 || !isPassing(error.status)) throw error;
        this.note(BROKEN);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
      signal.throwIfAborted();
    }
  }

  async finish() {
    try {
      const video = form.dataset.video ?? `${form.dataset.api}/${this.url.split("/").at(-1)}`; // a new one has the upload's id
      const response = await fetch(video);
      if (response.ok) announce((await response.json()).job);
    } catch (error) {
      console.info("The page will hear of it from the server:", error);
    }
    this.remove();
    done(this);
  }

  failBy(status, problem) {
    if ([404, 410].includes(status)) this.url = undefined; // the next try begins a new one
    this.fail(status ? answer(status, problem) : "The connection broke. What was sent is kept.");
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
      if (this.url && multipart) await call("DELETE", this.url);
      else if (this.url) await tus.Upload.terminate(this.url, { retryDelays: PAUSES });
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
function isPassing(status) {
  return !status || [409, 423].includes(status) || (status >= 500 && status !== 507);
}

// Of our API. Throws the status and the problem, or neither if there was no answer.
async function call(method, address, body, signal) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value, "Content-Type": "application/json" };
  const response = await fetch(address, { method, headers, body: JSON.stringify(body), signal });
  const { status } = response;
  if (!response.ok) throw { status, problem: parsed(await response.text()) };
  return status === 204 ? undefined : response.json();
}

// To the object store. What it refuses is tried again at an address that is signed anew.
function put(address, part, progress, signal) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("PUT", address);
    sending.upload.onprogress = ({ loaded }) => progress(loaded);
    sending.onloadend = () => (sending.status === 200 ? resolve() : reject({}));
    signal.addEventListener("abort", () => sending.abort());
    sending.send(part);
  });
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
input.multiple = !form.dataset.replaces;
input.addEventListener("change", chosen);
input.addEventListener("cancel", () => { wanted = undefined; });
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("a[href$='#file']")) return;
  event.preventDefault();
  choose();
});

// The whole page takes files, so that one dropped beside the box does not replace the page. One that is to replace a
// video has to be dropped on the box.
const target = form.dataset.replaces ? form : document;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0; // of elements that the drag has entered and not left
function drag(event, step) {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  depth = Math.max(0, depth + step);
  form.classList.toggle("over", depth > 0);
}
target.addEventListener("dragenter", (event) => drag(event, 1));
target.addEventListener("dragleave", (event) => drag(event, -1));
target.addEventListener("dragover", (event) => drag(event, 0));
target.addEventListener("drop", (event) => {
  drag(event, -depth);
  if (carriesFiles(event)) take(input.multiple ? event.dataTransfer.files : [event.dataTransfer.files[0]]);
});

window.addEventListener("beforeunload", (event) => {
  if (current || waiting.length) event.preventDefault();
});
if (location.hash === "#file") input.focus();
