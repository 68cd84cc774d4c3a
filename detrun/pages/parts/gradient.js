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
      const error = row.error === null ? "" : ` ± ${Number(row.error).toPrecision(2)}`;
      const shown = typeof row.gradient === "number" ? row.gradient.toPrecision(6) + error : row.gradient;
      table.append(detrun.row([row.name, shown, row.within, row.first]));
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
    this.drawFlips(view.flips, view.flips_refused);
    if (view.kinds) detrun.drawKinds(place("gradient-kinds"), view.kinds);
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
    this.diagram.ways.show(
      (this.view.flow[name] || []).map(([origin, target, contribution, share]) => ({ origin, target, contribution, share })),
      this.view.credit[name].map(([step, contribution, share]) => ({ step, contribution, share })),
    );
    this.diagram.draw();
  }

  // How large adjoints are, from the beginning of the run to its end.
  drawGrowth({ along, points }) {
    const place = document.getElementById("gradient-growth");
    place.hidden = points.length < 2;
    if (place.hidden) return;
    place.append(detrun.element("figcaption", `Largest adjoint along ${along}`));
    const [width, height] = [600, 130];
    const svg = d3.select(place).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img")
      .attr("aria-label", `adjoints along ${along}, powers of ten from ${d3.min(points, (one) => one[1]).toFixed(1)} to ${d3.max(points, (one) => one[1]).toFixed(1)}`);
    const x = d3.scaleLinear(d3.extent(points, (one) => one[0]), [50, width - 8]);
    const y = d3.scaleLinear(d3.extent(points, (one) => one[1]), [height - 24, 8]).nice();
    svg.append("g").attr("transform", `translate(0,${height - 20})`).call(d3.axisBottom(x).ticks(5));
    svg.append("g").attr("transform", "translate(48,0)").call(d3.axisLeft(y).ticks(4).tickFormat((power) => d3.format(".0e")(10 ** power)));
    svg.append("path").attr("d", d3.line((one) => x(one[0]), (one) => y(one[1])).curve(d3.curveStepAfter)(points)).attr("fill", "none")
      .attr("stroke", "var(--message)").attr("stroke-width", 1.5);
    if (points.length <= 60) {
      svg.selectAll("circle").data(points).join("circle").attr("cx", (one) => x(one[0])).attr("cy", (one) => y(one[1])).attr("r", 2.5)
        .attr("fill", "var(--message)");
    }
  }

  // By parameter: the nearest decisions that would flip, and by how much the loss jumps there.
  drawFlips(flips, refused) {
    document.getElementById("gradient-flips").hidden = !flips.length && !refused;
    document.getElementById("gradient-flips-refused").textContent = refused ? `They are unknown. ${refused}` : "";
    document.querySelector("#gradient-flips table").hidden = !flips.length;
    const table = document.querySelector("#gradient-flips tbody");
    const most = d3.max(flips, (one) => d3.max(one.nearest, ([, jump]) => (typeof jump === "number" ? Math.abs(jump) : 0))) || 1;
    for (const { name, within, down, up, nearest } of flips) {
      nearest.forEach(([move, jump, site], at) => {
        const count = at ? "" : `${down.toLocaleString("en")} below, ${up.toLocaleString("en")} above within ${Number(within.toPrecision(3))}`;
        const row = detrun.row([at ? "" : name, count, `${move > 0 ? "+" : ""}${move.toPrecision(4)}`]);
        const said = jump === null ? "unknown: the run fails there" : typeof jump === "number" ? `${jump > 0 ? "+" : ""}${jump.toPrecision(4)}` : jump;
        const cell = detrun.element("td", said, { className: "jump" });
        if (typeof jump === "number" && jump) {
          const bar = detrun.element("i");
          bar.style.width = `${Math.max(2, (80 * Math.abs(jump)) / most)}px`;
          bar.style.background = `var(--${jump > 0 ? "chosen" : "message"})`;
          cell.append(bar);
        }
        row.append(cell, detrun.element("td", site));
        table.append(row);
      });
      if (!nearest.length) {
        table.append(detrun.row([name, "none", "", "", "no decision of the run depends on it"]));
      }
    }
  }
};
