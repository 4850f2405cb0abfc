// The pictures of the seek bar: which one shows a moment is said by WebVTT, whose lines name a sheet and a place on it.

const CUE = /([\d:.]+) --> ([\d:.]+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)/g;

export class Storyboard {
  // Its file is fetched when a picture is first wanted. `box` has the parts `picture` and `moment`.
  constructor(address, box) {
    this.address = address;
    this.box = box;
  }

  // Show the moment above its place on the bar.
  async show(seconds, duration, words) {
    this.box.hidden = false;
    this.box.style.setProperty("--at", `${duration ? (100 * seconds) / duration : 0}%`);
    this.box.querySelector("[data-part=moment]").textContent = words;
    const picture = this.box.querySelector("[data-part=picture]");
    const cue = (await this.cues()).findLast(({ start }) => start <= seconds);
    picture.hidden = !cue;
    if (cue) Object.assign(picture.style, { width: `${cue.width}px`, height: `${cue.height}px`, backgroundImage: `url("${cue.sheet}")`, backgroundPosition: `-${cue.x}px -${cue.y}px` });
  }

  hide() {
    this.box.hidden = true;
  }

  async cues() {
    if (this.fetched !== this.address) {
      this.fetched = this.address;
      this.reading = this.address ? read(this.address) : Promise.resolve([]);
    }
    return this.reading;
  }
}

async function read(address) {
  try {
    const response = await fetch(address);
    return response.ok ? parse(await response.text(), new URL(address, document.baseURI)) : [];
  } catch {
    return []; // the bar works without
  }
}

function parse(text, base) {
  return [...text.matchAll(CUE)].map(([, start, , sheet, ...place]) => {
    const [x, y, width, height] = place.map(Number);
    return { start: seconds(start), sheet: new URL(sheet, base).href, x, y, width, height };
  });
}

function seconds(time) {
  return time.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
}
