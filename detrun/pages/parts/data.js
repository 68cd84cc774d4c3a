"use strict";
// The run as the page sees it: columns by step, and what is looked up in them. Steps have the numbers of the recording.

const detrun = {};

detrun.document = async function () {
  const text = document.getElementById("data").textContent;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
};

// The first index at which `column` is at least `value`; the column ascends, by what `key` makes of its entries.
detrun.firstAtLeast = function (column, value, key = (entry) => entry) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(column[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

detrun.Run = class {
  constructor(timeline, source) {
    this.first = timeline.first;
    this.count = timeline.laneOf.length;
    this.end = this.first + this.count;
    this.lanes = timeline.lanes.map(([path, group, ended, number]) => ({ path, group, ended, number }));
    this.laneOf = timeline.laneOf;
    this.times = timeline.times;
    this.endings = timeline.endings;
    this.choices = timeline.choices;
    this.ready = timeline.ready; // by step: after which its task could run
    this.texts = timeline.texts;
    this.arrows = timeline.arrows;
    this.held = timeline.held.map(([lane, label, first, last, waits]) => ({ lane, label, first, last, waits }));
    this.faults = timeline.faults;
    this.timers = timeline.timers.map(([lane, kind, place, step, due, last, ended]) => ({ lane, kind, place, step, due, last, ended }));
    this.cancellations = timeline.cancellations.map(([lane, step, isAfter, by]) => ({ lane, step, isAfter, by }));
    this.didOf = new Map(timeline.did[0].map((step, at) => [step, timeline.did[1][at]]));
    this.actionsOf = new Map(timeline.actions[0].map((step, at) => [step, timeline.actions[1][at]]));
    this.files = source ? source.files : [];
    this.linesOf = new Map(source ? source.steps[0].map((step, at) => [step, source.steps[1][at]]) : []);
    this.linesLeftOut = new Map(source ? source.leftOut[0].map((step, at) => [step, source.leftOut[1][at]]) : []);
    this.touchedOf = new Map(source ? source.touched[0].map((step, at) => [step, source.touched[1][at]]) : []);
    this.heldOfLane = this.lanes.map(() => []);
    this.held.forEach((bar) => this.heldOfLane[bar.lane].push(bar));
    this.stepsOfLane = this.lanes.map(() => []);
    this.laneOf.forEach((lane, at) => this.stepsOfLane[lane].push(this.first + at));
    this.arrowsInto = new Map();
    this.arrowsFrom = new Map();
    const { origin, target } = this.arrows;
    for (let at = 0; at < origin.length; at++) {
      push(this.arrowsInto, target[at], at);
      push(this.arrowsFrom, origin[at], at);
    }
  }
  lane(step) { return this.laneOf[step - this.first]; }
  time(step) { return this.times[step - this.first]; }
  ending(step) { return this.texts[this.endings[step - this.first]]; }
  couldRun(step) { return this.choices[step - this.first]; }
  path(step) { return this.lanes[this.lane(step)].path; }
  did(step) { return (this.didOf.get(step) || []).map((number) => this.texts[number]); }
  has(step) { return step >= this.first && step < this.end; }

  // The step of the same lane by so many places later; null beyond its first or last.
  along(step, places) {
    const steps = this.stepsOfLane[this.lane(step)];
    const at = detrun.firstAtLeast(steps, step) + places;
    return at >= 0 && at < steps.length ? steps[at] : null;
  }

  // The lines that a step ran: [{file, number, text}].
  lines(step) {
    const flat = this.linesOf.get(step) || [];
    const found = [];
    for (let at = 0; at < flat.length; at += 2) {
      const [name, texts] = this.files[flat[at]];
      found.push({ file: flat[at], name, number: flat[at + 1], text: (texts[flat[at + 1] - 1] || "").trim() });
    }
    return found;
  }

  // A step in one line of text.
  said(step) {
    const ran = this.lines(step).map((line) => line.text);
    const did = ran.length ? ran : this.did(step);
    return did.filter((text, at) => at === 0 || text !== did[at - 1]).join("; ");
  }
};

function push(lists, key, value) {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

// An element with a text; the text stays text, whatever is in it.
detrun.element = function (name, text, properties) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  return Object.assign(made, properties || {});
};

// A row of a table, with a cell for each text; `th` are the heads of columns.
detrun.row = function (texts, { cell = "td", className = "" } = {}) {
  const made = detrun.element("tr", null, { className });
  made.append(...texts.map((text) => detrun.element(cell, text, cell === "th" ? { scope: "col" } : {})));
  return made;
};

// What a colour means, for a legend; a glyph stands for what is drawn in another form than a box.
detrun.swatch = function (text, colour, glyph = "") {
  const swatch = detrun.element("i", glyph, { className: glyph ? "glyph" : "" });
  swatch.style[glyph ? "color" : "background"] = colour;
  const item = detrun.element("span");
  item.append(swatch, text);
  return item;
};

// The first few of a list, and how many more there are.
detrun.few = function (texts, most) {
  return texts.length > most ? [...texts.slice(0, most), `and ${(texts.length - most).toLocaleString("en")} more`] : texts;
};

detrun.seconds = (time) => `${Number(time.toPrecision(9))} s`;
