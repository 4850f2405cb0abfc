// The player: HLS where the browser plays it or hls.js can, so that the picture is as good as the line allows; else the
// MP4 that plays without any of this. One video plays at a time, and one that cannot be loaded says so.

import { Storyboard } from "./storyboard.js";

const HLS = "application/vnd.apple.mpegurl";
const STEP = 5, LEAP = 10; // seconds
const SHOWN = 1500; // milliseconds that the picture of a place stays after a key led there
const AHEAD = 60; // seconds that are fetched before they are played, at most: who leaves early has not fetched the rest
const A_MINUTE = 60000; // milliseconds in which addresses that were fetched anew cannot have run out

const controls = document.querySelector("[data-player-controls]");

class VideoPlayer extends HTMLElement {
  connectedCallback() {
    this.video = this.querySelector("video");
    this.video.controls = false;
    this.part("start").hidden = false;
    this.part("start").onclick = () => this.start();
  }

  disconnectedCallback() {
    this.hls?.destroy();
  }

  part(name) { return this.querySelector(`[data-part=${name}]`); }

  async start() {
    this.part("start").remove();
    this.video.replaceChildren(); // its MP4 is in the data of this element, too, for when HLS fails
    this.append(controls.content.cloneNode(true));
    this.listen();
    this.classList.add("played");
    this.focus({ preventScroll: true });
    this.storyboard = new Storyboard(this.dataset.storyboard, this.part("preview"));
    await this.load();
    this.play();
  }

  listen() {
    const { video } = this;
    this.tabIndex = -1; // takes the keys when nothing in it has the focus
    this.addEventListener("keydown", (event) => this.press(event));
    video.addEventListener("click", () => this.toggle());
    video.addEventListener("play", () => this.pauseOthers());
    for (const event of ["play", "pause", "ended"]) video.addEventListener(event, () => this.showPlaying());
    for (const event of ["timeupdate", "durationchange", "seeking", "progress"]) video.addEventListener(event, () => this.showTime());
    video.addEventListener("volumechange", () => this.showVolume());
    video.addEventListener("waiting", () => this.classList.add("waiting"));
    for (const event of ["playing", "canplay"]) video.addEventListener(event, () => this.classList.remove("waiting"));
    this.part("play").onclick = () => this.toggle();
    this.part("mute").onclick = () => this.mute();
    this.part("fullscreen").onclick = () => this.fullscreen();
    this.part("quality").onchange = ({ target }) => this.choose(Number(target.value));
    const seek = this.part("seek");
    seek.addEventListener("input", () => this.preview(Number(seek.value)));
    seek.addEventListener("change", () => this.seek(Number(seek.value)));
    seek.addEventListener("pointermove", (event) => this.preview(this.timeAt(event)));
    for (const event of ["pointerleave", "blur"]) seek.addEventListener(event, () => this.storyboard.hide());
    this.addEventListener("fullscreenchange", () => this.showFullscreen());
    this.showPlaying();
    this.showTime();
  }

  // --- where the picture comes from ---

  // By hls.js rather than by the browser itself, as only then people can choose the quality. Not in Safari, whose own
  // HLS is what AirPlay needs, and easy on the battery.
  async load(at = 0) {
    if (!this.dataset.hls) return this.loadMP4(at);
    if ("webkitShowPlaybackTargetPicker" in this.video) return this.loadNatively(at);
    const Hls = await this.library();
    if (Hls?.isSupported()) this.loadBy(Hls, at);
    else if (this.video.canPlayType(HLS)) this.loadNatively(at);
    else this.loadMP4(at);
  }

  async library() {
    if (!this.dataset.library) return undefined; // not installed
    try {
      return (await import(this.dataset.library)).default;
    } catch (error) {
      console.info("Playing without hls.js:", error);
      return undefined;
    }
  }

  loadBy(Hls, at) {
    this.video.onerror = null;
    this.hls = new Hls({
      enableWorker: false, // it would be a blob, which the Content-Security-Policy refuses
      capLevelToPlayerSize: true,
      maxMaxBufferLength: AHEAD,
      startPosition: at || -1,
    });
    this.hls.on(Hls.Events.MANIFEST_PARSED, () => this.showQualities());
    this.hls.on(Hls.Events.LEVEL_SWITCHED, () => this.showQuality());
    this.hls.on(Hls.Events.ERROR, (_, { fatal, type, response }) => {
      const gone = response?.code === 404; // which hls.js would ask for many times more
      if (fatal || gone) this.failed(type === Hls.ErrorTypes.MEDIA_ERROR);
    });
    this.hls.loadSource(this.dataset.hls);
    this.hls.attachMedia(this.video);
  }

  loadNatively(at) {
    this.loadFile(this.dataset.hls, at, () => this.failed());
  }

  loadMP4(at) {
    this.loadFile(this.dataset.mp4, at, () => this.failed());
  }

  loadFile(address, at, onerror) {
    this.part("quality").hidden = true;
    Object.assign(this.video, { src: address, onerror });
    if (at) this.video.currentTime = at;
  }

  // An address lasts for hours, and ends when its video gets other files: then the page has new ones. What still cannot
  // be played as HLS is played as MP4.
  async failed(undecodable = false) {
    const at = this.video.currentTime, wasPaused = this.video.paused;
    if (undecodable && !this.recovered) {
      this.recovered = true;
      return this.hls.recoverMediaError();
    }
    const byHLS = this.hls || this.video.src.endsWith(this.dataset.hls);
    this.hls?.destroy();
    this.hls = undefined;
    if (await this.renew()) await this.load(Math.min(at, Number(this.dataset.duration) || at)); // other files may be shorter
    else if (byHLS) this.loadMP4(at);
    else return this.showUnplayable();
    if (!wasPaused) this.play();
  }

  async renew() {
    if (Date.now() - this.renewed < A_MINUTE) return false;
    this.renewed = Date.now();
    try {
      const page = new DOMParser().parseFromString(await (await fetch(this.dataset.page)).text(), "text/html");
      const fresh = page.querySelector("video-player");
      if (!fresh) return false;
      Object.assign(this.dataset, fresh.dataset);
      this.storyboard.address = this.dataset.storyboard;
      return true;
    } catch {
      return false;
    }
  }

  // --- what people do ---

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
    if (event.key === " " && event.target.closest("button")) return; // which is what it presses
    const act = this.keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  }

  keys = {
    " ": () => this.toggle(),
    k: () => this.toggle(),
    ArrowLeft: ({ shiftKey }) => this.goTo(this.video.currentTime - (shiftKey ? LEAP : STEP)),
    ArrowRight: ({ shiftKey }) => this.goTo(this.video.currentTime + (shiftKey ? LEAP : STEP)),
    j: () => this.goTo(this.video.currentTime - LEAP),
    l: () => this.goTo(this.video.currentTime + LEAP),
    Home: () => this.goTo(0),
    End: () => this.goTo(this.duration),
    f: () => this.fullscreen(),
    m: () => this.mute(),
  };

  // What a browser has not begun to load knows no duration; we do.
  get duration() { return Number.isFinite(this.video.duration) ? this.video.duration : Number(this.dataset.duration) || 0; }

  play() {
    this.video.play().catch(() => this.showPlaying()); // a browser may want to be asked again
  }

  toggle() {
    if (this.video.paused) this.play();
    else this.video.pause();
  }

  mute() {
    this.video.muted = !this.video.muted;
  }

  fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.requestFullscreen) this.requestFullscreen().catch(() => {});
    else this.video.webkitEnterFullscreen(); // on an iPhone only the picture itself can
  }

  choose(level) {
    this.hls.nextLevel = level;
    this.showQuality();
  }

  seek(seconds) {
    this.video.currentTime = Math.min(Math.max(seconds, 0), this.duration);
    this.showTime();
  }

  goTo(seconds) {
    this.seek(seconds);
    this.preview(this.video.currentTime);
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => this.storyboard.hide(), SHOWN);
  }

  timeAt({ clientX }) {
    const { left, width } = this.part("seek").getBoundingClientRect();
    return Math.min(Math.max((clientX - left) / width, 0), 1) * this.duration;
  }

  preview(seconds) {
    this.storyboard.show(seconds, this.duration, clock(seconds));
  }

  pauseOthers() {
    for (const other of document.querySelectorAll("video")) if (other !== this.video) other.pause();
  }

  // --- what they see ---

  showPlaying() {
    const { paused } = this.video;
    this.part("play").setAttribute("aria-label", paused ? "Play" : "Pause");
    this.classList.toggle("playing", !paused);
  }

  showTime() {
    const { video, duration } = this, seek = this.part("seek");
    seek.max = duration;
    seek.value = video.currentTime;
    const spoken = `${clock(video.currentTime)} of ${clock(duration)}`;
    seek.setAttribute("aria-valuetext", spoken);
    this.part("time").textContent = spoken.replace("of", "/");
    const loaded = [...Array(video.buffered.length).keys()].find((n) => video.buffered.start(n) <= video.currentTime && video.currentTime <= video.buffered.end(n));
    const share = (seconds) => `${duration ? (100 * seconds) / duration : 0}%`;
    seek.style.setProperty("--played", share(video.currentTime));
    seek.style.setProperty("--loaded", share(loaded === undefined ? 0 : video.buffered.end(loaded)));
  }

  showVolume() {
    this.part("mute").setAttribute("aria-pressed", this.video.muted);
  }

  showFullscreen() {
    this.part("fullscreen").setAttribute("aria-pressed", document.fullscreenElement === this);
  }

  // A rung is named as its playlist is, best first.
  showQualities() {
    const rungs = this.hls.levels.map((level, number) => new Option(level.uri.match(/([^/]+)\.m3u8/)[1], number));
    this.part("quality").replaceChildren(new Option("Auto", -1), ...rungs.reverse());
    this.part("quality").hidden = false;
  }

  // What “Auto” has chosen stands beside it.
  showQuality() {
    const { options } = this.part("quality"), now = this.hls.levels[this.hls.currentLevel];
    const name = now && [...options].find((option) => this.hls.levels[option.value] === now).text;
    options[0].text = this.hls.autoLevelEnabled && name ? `Auto (${name})` : "Auto";
    this.dataset.quality = name ?? "";
  }

  showUnplayable() {
    this.part("unplayable").hidden = false;
    this.classList.remove("waiting");
  }
}

// The seek bar is one too, but its keys are ours.
function isField(element) {
  return element.matches("select, textarea, input:not([data-part=seek]), [contenteditable]");
}

export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

customElements.define("video-player", VideoPlayer);
