"use strict";
// Why it failed: two schedules beside each other, the operations that decide, and what was held after each turn.

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
    new ResizeObserver(() => this.drawArrow()).observe(this.body);
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
    const x = cells[0].offsetLeft + cells[0].offsetWidth - 14;
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
    for (const [task, wait] of this.view.blocked) place.append(detrun.element("p", `${task} waits for ${wait}`));
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
    if (one === null) return;
    const step = this.view.failing[one][0];
    const next = this.view.failing.slice(one + 1).find((row) => row[0] >= 0);
    this.drawValues(next ? next[0] : Infinity);
    if (step >= 0) this.choose(step);
  }

  // What tasks and objects held when so many steps were taken.
  drawValues(steps) {
    const list = document.getElementById("values");
    list.replaceChildren();
    if (!this.values) return;
    for (const changes of [this.values.objects, this.values.tasks]) {
      const state = new Map();
      let newest = null;
      for (const [step, changed] of changes) {
        if (step > steps) break;
        newest = changed;
        for (const [name, value] of Object.entries(changed)) {
          if (value === null) state.delete(name);
          else state.set(name, value);
        }
      }
      for (const [name, value] of state) {
        const isNew = newest !== null && Object.hasOwn(newest, name);
        list.append(detrun.element("dt", name), detrun.element("dd", Array.isArray(value) ? value.join("\n") : value, { className: isNew ? "new" : "" }));
      }
    }
  }
};
