"use strict";
// The space-time diagram: a lane for each task, time to the right, drawn on a canvas as far as it is seen.
// What is drawn is bounded by the pixels: of many steps in one pixel one is drawn, and too many arrows are left out.

detrun.Diagram = class {
  static LANE = 26;
  static LABELS = 250; // pixels of the names on the left; fewer on a narrow page
  static ARROWS_MAX = 3000; // drawn at once

  constructor(run, faults, told) {
    this.run = run;
    this.faults = faults;
    this.marks = new detrun.Marks(run);
    this.ways = new detrun.Ways();
    this.hits = []; // of what is drawn and can be pointed at: {left, right, top, bottom, said, step}; `said` makes the text
    this.told = told; // {hover(step or null, event, what is said of the mark there), choose(step)}
    this.axis = "step";
    this.chosen = null;
    this.showsArrows = true;
    this.canvas = document.getElementById("canvas");
    this.scroll = document.getElementById("diagram-scroll");
    this.space = document.getElementById("diagram-space");
    this.axisPlace = d3.select("#diagram-axis").append("g");
    this.rows = [];
    this.transform = d3.zoomIdentity;
    this.zoom = d3.zoom().filter((event) => (event.type === "wheel" ? event.ctrlKey || event.shiftKey : !event.button))
      .on("zoom", (event) => { this.transform = event.transform; this.draw(); });
    d3.select(this.canvas).call(this.zoom).on("dblclick.zoom", null);
    this.scroll.addEventListener("scroll", () => this.draw());
    this.canvas.addEventListener("mousemove", (event) => this.told.hover(this.stepAt(event), event, this.marksAt(event)));
    this.canvas.addEventListener("mouseleave", () => this.told.hover(null));
    this.canvas.addEventListener("click", (event) => {
      const mark = this.marksAt(event).find((one) => one.step !== null);
      const step = mark ? mark.step : this.stepAt(event);
      if (step !== null) this.told.choose(step);
    });
    new ResizeObserver(() => this.resize()).observe(this.scroll);
    this.show(() => true);
  }

  // Which lanes are shown: those whose path passes, by group, the groups in the order in which they come up.
  show(passes) {
    const groups = new Map();
    this.run.lanes.forEach((lane, at) => {
      if (!passes(lane.path)) return;
      if (!groups.has(lane.group)) groups.set(lane.group, []);
      groups.get(lane.group).push(at);
    });
    this.rows = [];
    for (const [group, lanes] of groups) {
      if (group) this.rows.push({ group });
      lanes.forEach((lane) => this.rows.push({ lane }));
    }
    this.rowOfLane = new Map(this.rows.flatMap((row, at) => (row.lane === undefined ? [] : [[row.lane, at]])));
    this.resize();
  }

  resize() {
    this.width = this.scroll.clientWidth;
    detrun.Diagram.LABELS = Math.min(250, Math.round(0.36 * this.width));
    this.faultsHeight = this.faults.height;
    const needed = this.rows.length * detrun.Diagram.LANE + this.faultsHeight + 6;
    this.space.style.height = `${needed}px`;
    this.height = Math.min(needed, Math.round(window.innerHeight * 0.55));
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.height = `${this.height}px`;
    const most = this.axis === "step" ? Math.max(this.run.count / 8, 4) : 1e9;
    this.zoom.scaleExtent([1, most]).extent([[detrun.Diagram.LABELS, 0], [this.width, 1]])
      .translateExtent([[detrun.Diagram.LABELS, 0], [this.width, 1]]);
    this.draw();
  }

  setAxis(axis) {
    this.axis = axis;
    this.reset();
    this.resize();
  }

  reset() { d3.select(this.canvas).call(this.zoom.transform, d3.zoomIdentity); }
  zoomBy(factor) {
    const at = this.chosen === null ? (this.width + detrun.Diagram.LABELS) / 2 : this.x(this.chosen);
    d3.select(this.canvas).call(this.zoom.scaleBy, factor, [at, 0]);
  }

  get scale() {
    const { run } = this;
    const ends = this.axis === "step" ? [run.first, run.end] : [run.times[0], run.times[run.count - 1]];
    if (ends[1] <= ends[0]) ends[1] = ends[0] + 1;
    return this.transform.rescaleX(d3.scaleLinear(ends, [detrun.Diagram.LABELS, this.width - 10]));
  }

  value(step) { return this.axis === "step" ? step : this.run.time(Math.min(step, this.run.end - 1)); }
  x(step) { return this.scale(this.value(step)); }
  top(row) { return this.faultsHeight + row * detrun.Diagram.LANE - this.scroll.scrollTop; }

  // The step that is nearest to the mouse in its lane; null outside the lanes.
  stepAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = this.rows[Math.floor((y - this.top(0)) / detrun.Diagram.LANE)];
    if (!row || row.lane === undefined || x < detrun.Diagram.LABELS) return null;
    const steps = this.run.stepsOfLane[row.lane];
    const value = this.scale.invert(x);
    const low = this.firstAt(steps, value - (this.axis === "step" ? 1 : 0));
    const near = [steps[low - 1], steps[low]].filter((step) => step !== undefined);
    near.sort((one, other) => Math.abs(this.x(one) - x) - Math.abs(this.x(other) - x));
    return near.length && Math.abs(this.x(near[0]) - x) < 40 ? near[0] : null;
  }

  // What is drawn under the mouse and is no step, the last drawn first.
  marksAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (x < detrun.Diagram.LABELS) return [];
    return this.hits.filter((hit) => hit.left <= x && x <= hit.right && hit.top <= y && y <= hit.bottom).reverse();
  }

  choose(step) {
    this.chosen = step;
    const row = this.rowOfLane.get(this.run.lane(step));
    if (row !== undefined) {
      const top = this.faultsHeight + row * detrun.Diagram.LANE;
      if (top - this.faultsHeight < this.scroll.scrollTop) this.scroll.scrollTop = top - this.faultsHeight;
      else if (top + detrun.Diagram.LANE > this.scroll.scrollTop + this.height) {
        this.scroll.scrollTop = top + detrun.Diagram.LANE - this.height;
      }
    }
    const x = this.x(step);
    if (x < detrun.Diagram.LABELS || x > this.width - 10) {
      const middle = (this.width + detrun.Diagram.LABELS) / 2;
      d3.select(this.canvas).call(this.zoom.translateBy, (middle - x) / this.transform.k, 0);
    }
    this.draw();
  }

  draw() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.drawNow(); });
  }

  drawNow() {
    const style = getComputedStyle(document.documentElement);
    this.colour = (name) => style.getPropertyValue(`--${name}`);
    const pen = this.canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const scale = this.scale;
    const [from] = scale.domain();
    const last = Math.min(this.rows.length, Math.ceil((this.height - this.top(0)) / detrun.Diagram.LANE));
    const firstRow = Math.max(0, Math.floor(-this.top(0) / detrun.Diagram.LANE));
    pen.save();
    pen.beginPath();
    pen.rect(detrun.Diagram.LABELS, 0, this.width, this.height);
    pen.clip();
    this.hits = [];
    const hit = (left, right, top, bottom, said, step) => this.hits.push({ left, right, top, bottom, said, step });
    this.faults.draw(pen, this, scale, hit);
    this.marks.begin();
    this.groundsDrawn = 0;
    pen.beginPath();
    pen.rect(detrun.Diagram.LABELS, this.faultsHeight, this.width, this.height);
    pen.clip();
    for (let row = firstRow; row < last; row++) {
      const { lane } = this.rows[row];
      if (lane === undefined) continue;
      this.groundsDrawn += this.faults.drawGround(pen, this, scale, this.run.lanes[lane].group, this.top(row), hit);
      this.drawLane(pen, scale, row, from);
      this.marks.draw(pen, this, scale, lane, this.top(row), hit);
    }
    if (this.showsArrows) this.drawArrows(pen, scale, firstRow, last);
    else document.getElementById("arrows-said").textContent = "";
    this.ways.draw(pen, this, scale);
    this.drawChosen(pen, scale);
    pen.restore();
    this.drawLabels(pen, firstRow, last);
    this.axisPlace.call(d3.axisBottom(scale).ticks(8)
      .tickFormat(this.axis === "step" ? (value) => (Number.isInteger(value) ? d3.format(",")(value) : "") : (value) => detrun.seconds(value)));
  }

  drawLabels(pen, firstRow, last) {
    pen.textBaseline = "middle";
    this.faults.drawLabels(pen, this);
    pen.save();
    pen.beginPath();
    pen.rect(0, this.faultsHeight, detrun.Diagram.LABELS, this.height);
    pen.clip();
    for (let row = firstRow; row < last; row++) {
      const { lane, group } = this.rows[row];
      const y = this.top(row) + detrun.Diagram.LANE / 2;
      if (y - 7 < this.faultsHeight) continue; // half of it would be under the names of faults
      pen.font = group ? "600 12px system-ui" : "12px system-ui";
      pen.fillStyle = this.colour(group ? "faint" : "text");
      let text = group || this.run.lanes[lane].path;
      while (pen.measureText(text).width > detrun.Diagram.LABELS - 16 && text.length > 4) {
        text = `…${text.slice(text.startsWith("…") ? 5 : 4)}`;
      }
      pen.fillText(text, group ? 4 : 10, y);
    }
    pen.restore();
  }

  drawLane(pen, scale, row, from) {
    const { run } = this;
    const steps = run.stepsOfLane[this.rows[row].lane];
    const top = this.top(row);
    const middle = top + detrun.Diagram.LANE / 2;
    pen.fillStyle = this.colour("line");
    pen.fillRect(detrun.Diagram.LABELS, top + detrun.Diagram.LANE - 1, this.width, 0.5);
    const wide = this.axis === "step" ? Math.max(scale(1) - scale(0), 1.2) : 3;
    for (const bar of run.heldOfLane[this.rows[row].lane]) {
      const end = scale(this.value(bar.last === null ? run.end : bar.last)) + wide;
      const begin = scale(this.value(bar.first));
      if (end < 0 || begin > this.width) continue;
      pen.fillStyle = pen.strokeStyle = this.colour("lock");
      pen.lineWidth = 1;
      if (bar.waits) pen.strokeRect(begin + 0.5, top + detrun.Diagram.LANE - 3.5, Math.max(end - begin - 1, 2), 2);
      else pen.fillRect(begin, top + detrun.Diagram.LANE - 7, Math.max(end - begin, 2), 3);
      if (end - begin > 60) {
        pen.font = "9px system-ui";
        pen.fillText(bar.label, Math.max(begin, detrun.Diagram.LABELS) + 2, top + detrun.Diagram.LANE - 10);
      }
    }
    let at = Math.max(this.firstAt(steps, this.axis === "step" ? Math.floor(from) - 1 : from) - 1, 0);
    let drawn = -10;
    for (; at < steps.length; at++) {
      const step = steps[at];
      const x = scale(this.value(step));
      if (x > this.width) break;
      const next = steps[at + 1];
      const ending = run.ending(step);
      if (next !== undefined) this.drawPause(pen, scale, x + wide, next, ending, middle);
      if (x - drawn < 0.7 && next !== undefined) {
        // One step a pixel: skip those that fall on this one.
        at = Math.max(this.firstAt(steps, scale.invert(x + 0.7)) - 1, at);
        continue;
      }
      drawn = x;
      pen.fillStyle = this.colour(["checkpoint", "done", "failed", "cancelled", "killed"].includes(ending) ? ending : "step");
      pen.fillRect(x, top + 5, Math.max(wide - 0.5, 1.2), detrun.Diagram.LANE - 13);
      if (run.actionsOf.has(step)) {
        pen.fillStyle = this.colour("fault-edge");
        pen.beginPath();
        pen.arc(x, top + 4, 2.5, 0, 7);
        pen.fill();
      }
    }
  }

  // The first of a lane's steps that stands at `value` or beyond on the axis.
  firstAt(steps, value) { return detrun.firstAtLeast(steps, value, (step) => this.value(step)); }

  // Between two steps of a task: it waits until it is woken, and can run from then on.
  drawPause(pen, scale, begin, next, ending, middle) {
    const end = scale(this.value(next));
    if (end - begin < 1) return;
    const after = this.run.ready[next - this.run.first];
    let ready = begin;
    if (ending !== "checkpoint") {
      ready = after < this.run.first ? end : Math.max(begin, scale(this.value(after + 1)));
      pen.fillStyle = this.colour("wait");
      pen.fillRect(begin, middle - 1, ready - begin, 1.5);
    }
    pen.fillStyle = this.colour("runnable");
    pen.fillRect(ready, middle - 1.5, end - ready, 2.5);
  }

  drawArrows(pen, scale, firstRow, last) {
    const { origin, target, kind, kinds } = this.run.arrows;
    const visible = [];
    let left = 0;
    for (let at = 0; at < origin.length; at++) {
      const begin = scale(this.value(origin[at]));
      const end = scale(this.value(target[at]));
      if (end < detrun.Diagram.LABELS || begin > this.width) continue;
      const rows = [this.rowOfLane.get(this.run.lane(origin[at])), this.rowOfLane.get(this.run.lane(target[at]))];
      if (rows.includes(undefined) || rows[0] === rows[1] || Math.max(...rows) < firstRow || Math.min(...rows) > last) continue;
      if (visible.length < detrun.Diagram.ARROWS_MAX) visible.push([begin, end, rows, kinds[kind[at]]]);
      else left += 1;
    }
    const said = left ? `${left + visible.length} arrows: zoom in to see them` : `${visible.length} arrows`;
    document.getElementById("arrows-said").textContent = said;
    this.arrowsDrawn = left ? 0 : visible.length;
    if (left) return;
    const half = this.axis === "step" ? Math.max(scale(1) - scale(0), 1.2) / 2 : 1.5;
    for (const [begin, end, rows, name] of visible) {
      const [x0, x1] = [begin + half, end + half];
      const [y0, y1] = rows.map((row) => this.top(row) + detrun.Diagram.LANE / 2);
      pen.strokeStyle = pen.fillStyle = this.colour(name);
      pen.lineWidth = name === "message" ? 1.3 : 0.8;
      pen.beginPath();
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
      pen.stroke();
      const angle = Math.atan2(y1 - y0, x1 - x0);
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.lineTo(x1 - 6 * Math.cos(angle - 0.4), y1 - 6 * Math.sin(angle - 0.4));
      pen.lineTo(x1 - 6 * Math.cos(angle + 0.4), y1 - 6 * Math.sin(angle + 0.4));
      pen.fill();
    }
  }

  drawChosen(pen, scale) {
    if (this.chosen === null) return;
    const row = this.rowOfLane.get(this.run.lane(this.chosen));
    const x = scale(this.value(this.chosen));
    pen.strokeStyle = this.colour("chosen");
    pen.lineWidth = 1;
    pen.strokeRect(x - 0.5, -1, 0.5, this.height + 2);
    if (row === undefined) return;
    pen.lineWidth = 2;
    const wide = this.axis === "step" ? Math.max(scale(1) - scale(0), 3) : 3;
    pen.strokeRect(x - 1.5, this.top(row) + 3, wide + 2, detrun.Diagram.LANE - 9);
  }
};
