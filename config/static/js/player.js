// The player: one video plays at a time, and one that cannot be loaded says so.

class VideoPlayer extends HTMLElement {
  connectedCallback() {
    this.video = this.querySelector("video");
    this.video.addEventListener("play", () => this.pauseOthers());
    this.video.addEventListener("click", () => this.startUnloaded());
    // A source that fails says so itself, and that event does not bubble; a video that fails later says so instead.
    this.video.addEventListener("error", () => this.showUnplayable());
    this.querySelector("source").addEventListener("error", () => this.showUnplayable());
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
