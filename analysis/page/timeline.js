// Draws one call over time as inline SVG: levels and speech of each channel, what was found, and the MOS.
// Zooms by wheel, buttons and keys, moves by dragging and keys. Knows nothing of where the call comes from.

const SVG = "http://www.w3.org/2000/svg";
const SHORTEST_MS = 500; // of what is shown at once
const LANE = { name: 16, level: 64, found: 22, score: 56, gap: 8, axis: 22 };
const MARK = 9; // height of what was found: events above, anomalies, which last, below
const GRAVITY = ["info", "low", "medium", "high", "critical"];
const FLOOR_DBOV = -80;
const STEPS_MS = [100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 1800000, 3600000];

export function clock(ms) {
  const whole = Math.floor(ms / 1000);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const text = `${parts[1]}:${String(parts[2]).padStart(2, "0")}`;
  const hours = parts[0] ? `${parts[0]}:${text.padStart(5, "0")}` : text;
  return ms % 1000 ? `${hours}.${String(Math.round(ms % 1000)).padStart(3, "0")}` : hours;
}

function shape(name, attributes, title) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (title) element.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: title }));
  return element;
}

function words(x, y, text, attributes = {}) {
  const element = shape("text", { x, y, ...attributes });
  element.textContent = text;
  return element;
}

// `call`: {durationMs, frameMs, channels: [{name, levels, speech: [[fromMs, toMs]]}],
//          found: [{channel, timestamp, duration, severity, lasting, text}], scores: [{timestamp, mosScore}]}
export class Timeline {
  constructor(host, call, onMove = () => {}) {
    this.call = call;
    this.view = { from: 0, to: Math.max(call.durationMs, SHORTEST_MS) };
    this.onMove = onMove;
    this.found = call.found.toSorted((one, other) => GRAVITY.indexOf(one.severity) - GRAVITY.indexOf(other.severity)); // the gravest on top
    this.lanes = [...call.channels.map((channel) => channel.name), "all"].filter(
      (name) => call.channels.some((channel) => channel.name === name) || call.found.some((found) => found.channel === name),
    );
    this.svg = shape("svg", { role: "img", tabindex: 0, "aria-label": "Timeline of the call", class: "timeline" });
    host.append(this.svg);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(from, to) {
    const length = Math.min(Math.max(to - from, SHORTEST_MS), Math.max(this.call.durationMs, SHORTEST_MS));
    const begin = Math.min(Math.max(from, 0), Math.max(this.call.durationMs - length, 0));
    this.view = { from: begin, to: begin + length };
    this.draw();
    this.onMove(this.view);
  }

  zoom(factor, at = (this.view.from + this.view.to) / 2) {
    this.show(at - (at - this.view.from) * factor, at + (this.view.to - at) * factor);
  }

  move(share) {
    const by = (this.view.to - this.view.from) * share;
    this.show(this.view.from + by, this.view.to + by);
  }

  listen() {
    const keys = {
      ArrowLeft: () => this.move(-0.2),
      ArrowRight: () => this.move(0.2),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      Home: () => this.show(0, this.view.to - this.view.from),
      End: () => this.show(this.call.durationMs, this.call.durationMs + this.view.to - this.view.from),
      0: () => this.show(0, this.call.durationMs),
    };
    this.svg.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
    this.svg.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX / this.width);
        else this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.time(event.offsetX));
      },
      { passive: false },
    );
    let grabbed = null;
    this.svg.addEventListener("pointerdown", (event) => {
      grabbed = { x: event.clientX, ...this.view };
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!grabbed) return;
      const by = ((grabbed.x - event.clientX) / this.width) * (grabbed.to - grabbed.from);
      this.show(grabbed.from + by, grabbed.to + by);
    });
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, () => (grabbed = null));
  }

  x(ms) {
    return ((ms - this.view.from) / (this.view.to - this.view.from)) * this.width;
  }

  time(x) {
    return this.view.from + (x / this.width) * (this.view.to - this.view.from);
  }

  draw() {
    this.width = Math.max(this.svg.parentElement.clientWidth, 100);
    const parts = [];
    let y = LANE.gap;
    for (const channel of this.call.channels) y = this.drawChannel(parts, channel, y);
    for (const lane of this.lanes) y = this.drawFound(parts, lane, y);
    if (this.call.scores.length) y = this.drawScores(parts, y);
    this.drawAxis(parts, y);
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("height", y + LANE.axis);
    this.svg.replaceChildren(...parts);
  }

  // The name of a lane, above it so that it hides nothing; returns where the lane begins.
  drawName(parts, name, height, y) {
    parts.push(words(4, y + LANE.name - 4, name, { class: "name" }));
    parts.push(shape("rect", { x: 0, y: y + LANE.name, width: this.width, height, class: "lane" }));
    return y + LANE.name;
  }

  drawChannel(parts, channel, top) {
    const y = this.drawName(parts, `${channel.name}, level and speech`, LANE.level, top);
    for (const [from, to] of channel.speech) {
      if (to > this.view.from && from < this.view.to)
        parts.push(
          shape("rect", { x: this.x(from), y, width: Math.max(this.x(to) - this.x(from), 0.5), height: LANE.level, class: "speech" }),
        );
    }
    parts.push(shape("path", { d: this.levelPath(channel.levels, y), class: "level" }));
    return y + LANE.level + LANE.gap;
  }

  // One vertical stroke a pixel, from the least to the greatest level in it.
  levelPath(levels, y) {
    const place = (dbov) => y + LANE.level * Math.min(Math.max(dbov / FLOOR_DBOV, 0), 1);
    const strokes = [];
    for (let pixel = 0; pixel < this.width; pixel++) {
      const first = Math.floor(this.time(pixel) / this.call.frameMs);
      const last = Math.min(Math.max(Math.ceil(this.time(pixel + 1) / this.call.frameMs), first + 1), levels.length);
      let least = 0;
      let greatest = FLOOR_DBOV;
      for (let frame = first; frame < last; frame++) {
        least = Math.min(least, levels[frame]);
        greatest = Math.max(greatest, levels[frame]);
      }
      if (first < last) strokes.push(`M${pixel + 0.5} ${place(greatest).toFixed(1)}V${(place(least) + 1).toFixed(1)}`);
    }
    return strokes.join("");
  }

  drawFound(parts, lane, top) {
    const y = this.drawName(parts, `${lane}, found`, LANE.found, top);
    for (const found of this.found) {
      const end = found.timestamp + found.duration;
      if (found.channel !== lane || end < this.view.from || found.timestamp > this.view.to) continue;
      const x = this.x(found.timestamp);
      const attributes = { x, y: y + (found.lasting ? MARK + 3 : 1), width: Math.max(this.x(end) - x, 3), height: MARK, rx: 2 };
      parts.push(shape("rect", { ...attributes, class: `found ${found.severity}` }, found.text));
    }
    return y + LANE.found + LANE.gap;
  }

  drawScores(parts, top) {
    const y = this.drawName(parts, "MOS, 1 to 4.5", LANE.score, top);
    const height = (score) => y + LANE.score * (1 - (score - 1) / 3.5);
    parts.push(shape("line", { x1: 0, x2: this.width, y1: height(3), y2: height(3), class: "limit" }, "MOS 3.0"));
    const steps = this.call.scores.map(({ timestamp, mosScore }, index) => {
      const from = index ? this.call.scores[index - 1].timestamp : 0;
      return `M${this.x(from).toFixed(1)} ${height(mosScore).toFixed(1)}H${this.x(timestamp).toFixed(1)}`;
    });
    parts.push(shape("path", { d: steps.join(""), class: "score" }));
    return y + LANE.score + LANE.gap;
  }

  drawAxis(parts, y) {
    const wanted = (90 / this.width) * (this.view.to - this.view.from);
    const step = STEPS_MS.find((ms) => ms >= wanted) ?? STEPS_MS.at(-1) * Math.ceil(wanted / STEPS_MS.at(-1));
    for (let ms = Math.ceil(this.view.from / step) * step; ms <= this.view.to; ms += step) {
      const x = this.x(ms);
      parts.push(shape("line", { x1: x, x2: x, y1: 0, y2: y, class: "tick" }));
      parts.push(words(x + 3, y + 14, clock(ms), { class: "time" }));
    }
  }
}
