// The player: plays the size that fits the screen, and another when the viewer says so, from where it was.

class VideoPlayer extends HTMLElement {
  connectedCallback() {
    this.video = this.querySelector("video");
    this.sources = [...this.video.querySelectorAll("source")]; // largest first
    this.radios = [...this.querySelectorAll("[type=radio]")];
    this.addEventListener("change", (event) => this.switchTo(this.sourceNamed(event.target.value)));
    this.video.addEventListener("play", () => this.pauseOthers());
    this.video.addEventListener("click", () => this.startUnloaded());
    // A source that fails says so itself, and that event does not bubble; a video whose `src` fails says so instead.
    this.video.addEventListener("error", () => this.showUnplayable());
    this.sources.at(-1)?.addEventListener("error", () => this.showUnplayable());
    this.begin(this.fitting());
  }

  begin(source) {
    if (!source) return;
    if (source !== this.sources[0]) this.video.src = source.src;
    for (const radio of this.radios) radio.checked = radio.value === source.dataset.name;
    this.querySelector(".quality").hidden = this.sources.length < 2;
  }

  // The smallest that has a pixel for every pixel of the screen, else the largest.
  fitting() {
    const width = this.video.clientWidth * devicePixelRatio;
    const height = this.video.clientHeight * devicePixelRatio;
    const fits = ({ dataset }) => Number(dataset.width) >= width || Number(dataset.height) >= height;
    return this.sources.findLast(fits) ?? this.sources[0];
  }

  sourceNamed(name) {
    return this.sources.find((source) => source.dataset.name === name);
  }

  switchTo(source) {
    const { video } = this;
    // A second choice before the first has loaded goes on from where the first was to go on.
    this.resume ??= { time: video.currentTime, playing: !video.paused && !video.ended, rate: video.playbackRate };
    if (this.resume.time > 0) video.preload = "auto";
    video.addEventListener("loadedmetadata", () => this.goOn(), { once: true });
    video.src = source.src;
    if (this.resume.playing) video.play().catch(() => {}); // also begins to load, whatever `preload` says
  }

  goOn() {
    if (!this.resume) return;
    this.video.currentTime = this.resume.time;
    this.video.playbackRate = this.resume.rate;
    this.resume = undefined;
  }

  // Chromium takes a click on the picture for "play" only once something has loaded.
  startUnloaded() {
    if (this.video.readyState === HTMLMediaElement.HAVE_NOTHING) this.video.play().catch(() => {});
  }

  pauseOthers() {
    this.classList.add("played");
    for (const other of document.querySelectorAll("video")) if (other !== this.video) other.pause();
  }

  showUnplayable() {
    this.querySelector("[data-part=unplayable]").hidden = false;
  }
}

customElements.define("video-player", VideoPlayer);
