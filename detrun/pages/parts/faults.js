"use strict";
// Faults above the lanes of the diagram: a row for each kind, with a tick where one took effect and a band from its
// begin to its end; and on the lanes of a node a ground while it was paused, down or without power.

// The kind of fault by which links and nodes come to be as they are.
const EFFECTS = { partitioned: "partition", clogged: "clog", paused: "pause", down: "crash", off: "power loss" };

detrun.Faults = class {
  static ROW = 14;
  static ROWS_MAX = 12;

  // `bands` are those of the world, null where they are not known.
  constructor(run, bands) {
    this.run = run;
    const rows = new Map();
    const row = (label) => {
      if (!rows.has(label)) rows.set(label, { label, ticks: [], bands: [] });
      return rows.get(label);
    };
    run.faults.forEach(([name, steps]) => { row(name).ticks = steps; });
    this.grounds = new Map(); // by node
    if (bands) {
      const seconds = (begin, end, first, last) => `${detrun.seconds(begin)} to ${end === null ? "the end" : detrun.seconds(end)}, from step ${first.toLocaleString("en")}${last === null ? "" : ` to ${last.toLocaleString("en")}`}`;
      const band = (label, said, begin, end, first, last) => {
        const made = { begin, end, first, last, said: `${said}, ${seconds(begin, end, first, last)}` };
        row(label).bands.push(made);
        return made;
      };
      for (const [name, kind, about, begin, end, first] of bands.planned) {
        const last = end === null || end > bands.end ? null : run.first + detrun.firstAtLeast(run.times, end);
        band(kind.replaceAll("_", " "), `${name}: ${kind.replaceAll("_", " ")}${about ? ` (${about})` : ""}`, begin, end, first, last);
      }
      for (const [what, begin, end, names, first, last] of bands.links) {
        band(EFFECTS[what] || "links set otherwise", `${what}: ${names.join(", ")}`, begin, end, first, last);
      }
      for (const [state, name, begin, end, first, last] of bands.nodes) {
        if (state === "up") continue;
        const made = band(EFFECTS[state], `${name} is ${state}`, begin, end, first, last);
        if (!this.grounds.has(name)) this.grounds.set(name, []);
        this.grounds.get(name).push({ ...made, state });
      }
    }
    const all = [...rows.values()];
    this.rows = all.slice(0, detrun.Faults.ROWS_MAX);
    const rest = all.slice(detrun.Faults.ROWS_MAX);
    if (rest.length) {
      const ticks = [...new Set(rest.flatMap((one) => one.ticks))].sort((one, other) => one - other);
      this.rows.push({ label: `${rest.length} more kinds`, ticks, bands: rest.flatMap((one) => one.bands), names: rest.map((one) => one.label) });
    }
  }

  get height() { return detrun.Faults.ROW * this.rows.length; }

  // Begin and end of a band on the axis; one that has no end reaches to the right.
  static ends(diagram, scale, { begin, end, first, last }) {
    if (diagram.axis === "step") return [scale(first), last === null ? diagram.width : scale(last)];
    return [scale(begin), end === null ? diagram.width : scale(end)];
  }

  draw(pen, diagram, scale, hit) {
    this.bandsDrawn = this.ticksDrawn = 0;
    this.rows.forEach(({ label, ticks, bands, names }, at) => {
      const top = detrun.Faults.ROW * at;
      for (const band of bands) {
        const [from, to] = detrun.Faults.ends(diagram, scale, band);
        if (to < detrun.Diagram.LABELS || from > diagram.width) continue;
        this.bandsDrawn += 1;
        const wide = Math.max(to - from, 2);
        pen.fillStyle = diagram.colour("fault");
        pen.fillRect(from, top + 1, wide, detrun.Faults.ROW - 2);
        pen.fillRect(from, detrun.Faults.ROW * this.rows.length, 1, diagram.height);
        pen.fillRect(from + wide - 1, detrun.Faults.ROW * this.rows.length, 1, diagram.height);
        pen.strokeStyle = diagram.colour("fault-edge");
        pen.lineWidth = 1;
        pen.strokeRect(from + 0.5, top + 1.5, wide - 1, detrun.Faults.ROW - 3);
        hit(from, from + wide, top, top + detrun.Faults.ROW, () => band.said, band.first);
      }
      let drawn = -10;
      for (const step of ticks) {
        const x = scale(diagram.value(step));
        if (x - drawn < 1 || x < 0 || x > diagram.width) continue;
        drawn = x;
        this.ticksDrawn += 1;
        pen.fillStyle = diagram.colour("fault");
        pen.fillRect(x - 1, 0, 2, diagram.height);
        pen.fillStyle = diagram.colour("fault-edge");
        pen.fillRect(x - 1, top + 2, 3, 10);
        hit(x - 3, x + 3, top, top + detrun.Faults.ROW, () => `${names ? names.join(", ") : label} took effect in step ${step.toLocaleString("en")}, at ${detrun.seconds(this.run.time(step))}`, step);
      }
    });
  }

  drawLabels(pen, diagram) {
    pen.font = "11px system-ui";
    pen.fillStyle = diagram.colour("fault-edge");
    this.rows.forEach(({ label }, at) => {
      let text = label;
      while (pen.measureText(text).width > detrun.Diagram.LABELS - 14 && text.length > 4) text = `${text.slice(0, text.endsWith("…") ? -2 : -1)}…`;
      pen.fillText(text, 10, detrun.Faults.ROW * at + 7);
    });
  }

  // The ground of a lane while its node did not run; how many there are.
  drawGround(pen, diagram, scale, node, top, hit) {
    let drawn = 0;
    for (const ground of this.grounds.get(node) || []) {
      const [from, to] = detrun.Faults.ends(diagram, scale, ground);
      if (to < detrun.Diagram.LABELS || from > diagram.width) continue;
      drawn += 1;
      pen.globalAlpha = 0.35;
      pen.fillStyle = diagram.colour(`node-${ground.state}`);
      pen.fillRect(from, top, Math.max(to - from, 2), detrun.Diagram.LANE - 1);
      pen.globalAlpha = 1;
      hit(from, to, top, top + detrun.Diagram.LANE, () => ground.said, null);
    }
    return drawn;
  }

  // The same as text, with a button that goes there.
  list(place, choose) {
    const bands = this.rows.flatMap((row) => row.bands).sort((one, other) => one.begin - other.begin);
    place.hidden = !bands.length;
    place.querySelector("summary").textContent = `${bands.length.toLocaleString("en")} fault${bands.length === 1 ? "" : "s"} with begin and end, as a list`;
    place.addEventListener("toggle", () => {
      place.querySelector("ol").replaceChildren(...bands.map((band) => {
        const item = detrun.element("li", `${band.said} `);
        const button = detrun.element("button", "go there", { type: "button" });
        button.addEventListener("click", () => choose(Math.max(band.first, this.run.first)));
        item.append(button);
        return item;
      }));
    }, { once: true });
  }
};
