"use strict";
// The steps as a list, of which only the rows that are seen exist.

detrun.Steps = class {
  static ROW = 22;

  constructor(run, choose) {
    this.run = run;
    this.choose = choose;
    this.place = document.getElementById("rows");
    this.space = document.getElementById("rows-space");
    this.chosen = null;
    this.place.addEventListener("scroll", () => this.draw());
    this.space.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.choose(Number(row.dataset.step));
    });
    this.filter("");
  }

  // Only steps of which the words say something: in the task's name, the wait, or what they did.
  filter(words) {
    const { run } = this;
    const wanted = words.trim().toLowerCase();
    this.shown = [];
    for (let step = run.first; step < run.end; step++) {
      const all = wanted ? `${run.path(step)} ${run.ending(step)} ${run.did(step).join(" ")} ${run.said(step)}` : "";
      if (all.toLowerCase().includes(wanted)) this.shown.push(step);
    }
    this.space.style.height = `${this.shown.length * detrun.Steps.ROW}px`;
    document.getElementById("steps-said").textContent = `${this.shown.length.toLocaleString("en")} steps`;
    this.draw();
  }

  select(step) {
    this.chosen = step;
    const top = detrun.firstAtLeast(this.shown, step) * detrun.Steps.ROW;
    const { scrollTop, clientHeight } = this.place;
    if (top < scrollTop || top + detrun.Steps.ROW > scrollTop + clientHeight) {
      this.place.scrollTop = top - clientHeight / 2;
    }
    this.draw();
  }

  draw() {
    const { run } = this;
    const first = Math.max(0, Math.floor(this.place.scrollTop / detrun.Steps.ROW) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.place.clientHeight / detrun.Steps.ROW) + 8);
    const rows = [];
    for (let at = first; at < last; at++) {
      const step = this.shown[at];
      const row = detrun.element("div", null, { className: "row", id: `row-${step}` });
      row.dataset.step = step;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(step === this.chosen));
      row.setAttribute("aria-setsize", this.shown.length);
      row.setAttribute("aria-posinset", at + 1);
      row.style.top = `${at * detrun.Steps.ROW}px`;
      row.append(
        detrun.element("span", step.toLocaleString("en"), { className: "number" }),
        detrun.element("span", run.path(step), { className: "task" }),
        detrun.element("span", run.said(step)),
        detrun.element("span", run.ending(step) === "checkpoint" ? "" : `→ ${run.ending(step)}`, { className: "end" }),
      );
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
    if (this.chosen === null) this.place.removeAttribute("aria-activedescendant");
    else this.place.setAttribute("aria-activedescendant", `row-${this.chosen}`);
  }
};
