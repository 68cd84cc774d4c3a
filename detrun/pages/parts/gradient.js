"use strict";
// A gradient: its numbers, the steps that carried it, and the ways it took from step to step over the diagram.

detrun.Gradient = class {
  constructor(view, diagram, choose) {
    this.view = view;
    this.diagram = diagram;
    this.choose = choose;
    const place = (name) => document.getElementById(name);
    place("gradient").hidden = false;
    place("gradient-said").textContent = `${view.said}: ${view.value}. ${view.bias}`;
    const table = place("gradient-rows");
    for (const row of view.rows) {
      const line = detrun.element("tr");
      const error = row.error === null ? "" : ` ± ${Number(row.error).toPrecision(2)}`;
      const shown = typeof row.gradient === "number" ? row.gradient.toPrecision(6) + error : row.gradient;
      [row.name, shown, row.within, row.first].forEach((text) => line.append(detrun.element("td", text)));
      table.append(line);
    }
    for (const [margin, kind, where, code, passes] of view.nearest) {
      const item = detrun.element("li", `${margin}  ${kind} at ${where} `);
      item.append(detrun.element("code", code), passes > 1 ? ` (${passes} passes)` : "");
      place("gradient-nearest").append(item);
    }
    place("gradient-nearest-heading").hidden = !view.nearest.length;
    const names = Object.keys(view.credit);
    const select = place("gradient-parameter");
    names.forEach((name) => select.append(detrun.element("option", name, { value: name })));
    select.addEventListener("change", () => this.show(select.value));
    place("gradient-ways").hidden = !names.length;
    this.drawGrowth(view.growth);
    if (names.length) this.show(names[0]);
  }

  show(name) {
    const list = document.getElementById("gradient-credit");
    list.replaceChildren();
    for (const [step, contribution, share, did] of this.view.credit[name].slice(0, 40)) {
      const item = detrun.element("li");
      const button = detrun.element("button", `step ${step.toLocaleString("en")}`, { type: "button" });
      button.addEventListener("click", () => this.choose(step));
      const path = this.diagram.run.has(step) ? this.diagram.run.path(step) : "";
      item.append(`${(100 * share).toFixed(1)} %  ${contribution.toPrecision(4)}  `, button, ` ${path}: ${did}`);
      list.append(item);
    }
    this.diagram.ways = (this.view.flow[name] || []).map(([origin, target, contribution, share]) => ({ origin, target, contribution, share }));
    this.diagram.credits = this.view.credit[name].map(([step, contribution, share]) => ({ step, contribution, share }));
    this.diagram.draw();
  }

  // How large adjoints became, from the beginning of the run to its end.
  drawGrowth(points) {
    const place = document.getElementById("gradient-growth");
    place.hidden = points.length < 3;
    if (place.hidden) return;
    const [width, height] = [600, 120];
    const svg = d3.select(place).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img")
      .attr("aria-label", `adjoints along the run, powers of ten from ${d3.min(points, (one) => one[1]).toFixed(1)} to ${d3.max(points, (one) => one[1]).toFixed(1)}`);
    const x = d3.scaleLinear(d3.extent(points, (one) => one[0]), [40, width - 8]);
    const y = d3.scaleLinear(d3.extent(points, (one) => one[1]), [height - 20, 8]).nice();
    svg.append("g").attr("transform", `translate(0,${height - 18})`).call(d3.axisBottom(x).ticks(5));
    svg.append("g").attr("transform", "translate(38,0)").call(d3.axisLeft(y).ticks(4).tickFormat((power) => `1e${power}`));
    svg.append("path").attr("d", d3.line((one) => x(one[0]), (one) => y(one[1]))(points)).attr("fill", "none")
      .attr("stroke", "var(--message)").attr("stroke-width", 1.5);
  }
};
