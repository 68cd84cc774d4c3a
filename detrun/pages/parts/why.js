"use strict";
// Why it failed: two schedules beside each other, the operations that decide, and what both held after each turn.

detrun.Why = class {
  constructor(view, values, choose) {
    this.view = view;
    this.values = values;
    this.choose = choose;
    this.at = 0;
    document.getElementById("why").hidden = false;
    document.getElementById("why-error").textContent = view.error;
    document.getElementById("why-text").textContent = view.why;
    const again = document.getElementById("why-again");
    if (view.again) again.append("again: ", detrun.element("code", view.again));
    this.body = document.querySelector("#why-rows tbody");
    this.saidLeftOut();
    this.drawRows();
    this.drawDeciding();
    this.drawCycle();
    if (view.history) this.history = new detrun.History(view.history, choose);
    this.slider = document.getElementById("why-place");
    this.slider.max = Math.max(view.aligned.length - 1, 0);
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    document.getElementById("why-back").addEventListener("click", () => this.go(this.at - 1));
    document.getElementById("why-forth").addEventListener("click", () => this.go(this.at + 1));
    document.getElementById("why-slider").hidden = !view.aligned.length;
    document.getElementById("why-schedules").hidden = !view.aligned.length;
    document.getElementById("why-values").hidden = !values;
    document.querySelector("#why-values table").classList.toggle("lone", !(values && values.passing));
    new ResizeObserver(() => this.drawArrow()).observe(this.body);
  }

  saidLeftOut() {
    const { leftOut: [failing, passing], cut, passing: rows } = this.view;
    const turns = (count) => `${count.toLocaleString("en")} turn${count === 1 ? "" : "s"}`;
    const said = [cut];
    if (failing || passing) said.push(`Before those shown, ${turns(failing)} of the failing schedule${rows.length ? ` and ${turns(passing)} of the passing one` : ""} are left out.`);
    document.getElementById("why-left-out").textContent = said.filter(Boolean).join(" ");
  }

  drawRows() {
    const { failing, passing, aligned, deciding } = this.view;
    const decisive = new Set(deciding.map(([row]) => row));
    const cells = (rows, at) => (at === null ? ["", ""] : [rows[at][0] < 0 ? "" : rows[at][0], [rows[at][1], ...rows[at][2].map((line) => `  ${line}`)].join("\n")]);
    this.places = aligned.map(([one, other], at) => {
      const row = detrun.element("tr", null, { className: one === null || other === null ? "alone" : "" });
      [...cells(failing, one), ...cells(passing, other)].forEach((text) => row.append(detrun.element("td", text)));
      if (one !== null && decisive.has(one)) row.children[1].classList.add("decides");
      row.addEventListener("click", () => this.go(at));
      return row;
    });
    this.body.replaceChildren(...this.places);
    document.querySelector("#why-rows table").classList.toggle("lone", !passing.length);
  }

  drawDeciding() {
    const list = document.getElementById("why-deciding");
    this.view.deciding.forEach(([, task, verb, place, code]) => {
      const item = detrun.element("li", `${task} ${verb}${place ? ` at ${place}` : ""}`);
      if (code) item.append(": ", detrun.element("code", code));
      list.append(item);
    });
  }

  // An arrow from the first operation that decides to the second.
  drawArrow() {
    const cells = this.body.querySelectorAll("td.decides");
    const svg = d3.select("#why-arrow");
    svg.selectAll("*").remove();
    if (cells.length < 2) return;
    svg.attr("width", this.body.offsetWidth).attr("height", this.body.offsetHeight + this.body.offsetTop);
    const x = cells[0].offsetLeft + cells[0].offsetWidth - 38;
    const y = [...cells].map((cell) => cell.offsetTop + cell.offsetHeight / 2);
    const path = d3.path();
    path.moveTo(x, y[0]);
    path.bezierCurveTo(x + 30, y[0], x + 30, y[1], x, y[1]);
    svg.append("path").attr("d", path).attr("fill", "none").attr("stroke", "var(--chosen)").attr("stroke-width", 2);
    svg.append("path").attr("d", `M${x},${y[1]} l8,-5 l0,10 z`).attr("fill", "var(--chosen)");
  }

  // Tasks that wait for each other, in a circle.
  drawCycle() {
    const tasks = this.view.cycle.slice(0, -1);
    const place = document.getElementById("why-cycle");
    if (this.view.blocked.length) place.append(detrun.element("ul"));
    for (const [task, wait] of this.view.blocked) place.firstChild.append(detrun.element("li", `${task} waits for ${wait}`));
    if (!tasks.length) return;
    const svg = d3.select(place).append("svg").attr("viewBox", "-290 -110 580 220").attr("role", "img")
      .attr("aria-label", `waits in a circle: ${this.view.cycle.join(" for ")}`);
    const NAME = 34; // letters of a task's name, from its end
    const at = (index) => {
      const angle = (2 * Math.PI * index) / tasks.length - Math.PI / 2;
      return [160 * Math.cos(angle), 80 * Math.sin(angle)];
    };
    tasks.forEach((task, index) => {
      const [x0, y0] = at(index);
      const [x1, y1] = at(index + 1);
      const [bx, by] = [(x0 + x1) / 2 + (y0 - y1) * 0.2, (y0 + y1) / 2 + (x1 - x0) * 0.2];
      svg.append("path").attr("d", `M${x0},${y0} Q${bx},${by} ${x1},${y1}`).attr("fill", "none").attr("stroke", "var(--failed)");
      const [mx, my] = [bx / 2 + (x0 + x1) / 4, by / 2 + (y0 + y1) / 4];
      const turn = (180 / Math.PI) * Math.atan2(y1 - y0, x1 - x0);
      svg.append("path").attr("class", "waits").attr("d", "M7,0 L-5,-5 L-5,5 Z").attr("transform", `translate(${mx},${my}) rotate(${turn})`).attr("fill", "var(--failed)");
    });
    tasks.forEach((task, index) => {
      const [x, y] = at(index);
      const label = svg.append("text").attr("x", x).attr("y", y).attr("text-anchor", "middle").attr("fill", "var(--text)")
        .attr("stroke", "var(--ground)").attr("stroke-width", 4).attr("paint-order", "stroke").attr("font-size", 13)
        .text(task.length > NAME ? `…${task.slice(1 - NAME)}` : task);
      if (task.length > NAME) label.append("title").text(task);
    });
  }

  // Within the list of turns alone: the page stays where it is.
  scrollTo(row) {
    const list = document.getElementById("why-rows");
    const head = list.querySelector("thead").offsetHeight;
    const bottom = row.offsetTop + row.offsetHeight;
    if (row.offsetTop - head < list.scrollTop) list.scrollTop = row.offsetTop - head;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
  }

  go(place) {
    this.at = Math.max(0, Math.min(place, this.view.aligned.length - 1));
    this.slider.value = this.at;
    this.places.forEach((row, at) => row.classList.toggle("here", at === this.at));
    const row = this.places[this.at];
    this.scrollTo(row);
    const [one, other] = this.view.aligned[this.at];
    const said = one === null ? this.view.passing[other] : this.view.failing[one];
    const alone = one === null ? ", in the passing schedule alone" : other === null && this.view.passing.length ? ", in the failing schedule alone" : "";
    document.getElementById("why-said").textContent = `turn ${this.at + 1} of ${this.view.aligned.length}: ${said[1]}${alone}`;
    this.drawValues();
    const step = one === null ? -1 : this.view.failing[one][0];
    if (step >= 0) this.choose(step);
  }

  // How many steps of a schedule were taken when its last turn up to here was over: the first step of its next turn.
  // null where none has begun.
  stepsTaken(rows, which) {
    let at = this.at;
    while (at >= 0 && this.view.aligned[at][which] === null) at -= 1;
    if (at < 0) return null;
    const next = rows.slice(this.view.aligned[at][which] + 1).find((row) => row[0] >= 0);
    return next ? next[0] : Infinity;
  }

  // What tasks and objects of both schedules hold now: a row for each, or for each variable of a task.
  drawValues() {
    if (!this.values) return;
    const { failing, passing } = this.values;
    const turns = this.view.aligned[this.at];
    const [here, there] = [[failing, this.view.failing], [passing, this.view.passing]]
      .map(([values, schedule], which) => heldAt(values, this.stepsTaken(schedule, which), turns[which] !== null));
    const rows = [];
    const cell = (entry, other) => {
      const shown = entry && entry.isPlace ? entry.text.split("/").pop() : entry && entry.text;
      const differs = passing && entry !== undefined && other !== undefined && entry.text !== other.text;
      return detrun.element("td", entry === undefined ? "" : shown, { title: entry && entry.isPlace ? entry.text : "", className: `${entry && entry.isNew ? "new" : ""}${differs ? " differs" : ""}` });
    };
    let group = null;
    for (const key of new Set([...here.keys(), ...there.keys()])) {
      const [one, other] = [here.get(key), there.get(key)];
      const entry = one || other;
      if (entry.group !== group) {
        group = entry.group;
        const head = detrun.element("tr", null, { className: "group" });
        head.append(detrun.element("th", group, { scope: "rowgroup", colSpan: passing ? 3 : 2 }));
        rows.push(head);
      }
      const row = detrun.element("tr");
      row.append(detrun.element("th", entry.name, { scope: "row" }), cell(one, other));
      if (passing) row.append(cell(other, one));
      rows.push(row);
    }
    document.getElementById("values").replaceChildren(...rows);
    const said = [];
    if (!rows.length) said.push("Nothing is known here.");
    if (failing.leftOut) said.push(`Of the failing schedule the values after its first ${failing.leftOut.toLocaleString("en")} turns are left out.`);
    if (passing && passing.leftAfter) said.push(`Of the passing schedule those after its last ${passing.leftAfter.toLocaleString("en")} turns are left out.`);
    if (!passing && this.view.passing.length) said.push("Those of the passing schedule are not known: it could not be made again, or has effects outside of the run.");
    document.getElementById("values-said").textContent = said.join(" ");
  }
};

// What was held when so many steps were taken: {group, name, text, isNew} by object, and by task, function and variable.
// What the turn has changed is new, if the schedule has this turn.
function heldAt(values, steps, hasTurn) {
  const found = new Map();
  if (!values || steps === null || steps < values.since || (values.until !== null && steps > values.until)) return found;
  for (const [kind, changes] of [["objects", values.objects], ["tasks", values.tasks]]) {
    const state = new Map();
    let newest = {};
    let before = {};
    for (const [step, changed] of changes) {
      if (step > steps) break;
      newest = changed;
      before = {};
      for (const [name, value] of Object.entries(changed)) {
        before[name] = state.get(name);
        if (value === null) state.delete(name);
        else state.set(name, value);
      }
    }
    for (const [name, value] of state) {
      if (kind === "objects") {
        found.set(`object ${name}`, { group: "shared objects", name, text: value, isNew: hasTurn && Object.hasOwn(newest, name) });
        continue;
      }
      const changed = hasTurn && Object.hasOwn(newest, name);
      value.forEach(([place, code, variables], depth) => {
        const [, oldCode, old] = (changed && before[name] && before[name][depth]) || [null, null, {}];
        const put = (key, text, isNew, isPlace = false) => found.set(`task ${name} ${depth} ${code} ${key}`, { group: name, name: key, text, isNew, isPlace });
        put(`in ${code}`, place, changed && (!before[name] || !before[name][depth] || before[name][depth][0] !== place), true);
        for (const [key, text] of Object.entries(variables)) put(key, text, changed && (oldCode !== code || old[key] !== text));
      });
    }
  }
  return found;
}
