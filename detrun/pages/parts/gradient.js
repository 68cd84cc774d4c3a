"use strict";
// A gradient: its numbers, the steps that carried it, and the ways it took from step to step over the diagram.

const signed = (number) => `${number > 0 ? "+" : ""}${number.toPrecision(4)}`;

detrun.Gradient = class {
  static ROWS_MAX = 500; // of the table of steps

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
    const { credit, flow, path, flowsLeftOut } = this.view;
    const { ROWS_MAX } = detrun.Gradient;
    const run = this.diagram.run;
    const most = d3.max(credit[name], ([, , share]) => share) || 1;
    const rows = credit[name].slice(0, ROWS_MAX).map(([step, contribution, share, did, lines]) => {
      const row = detrun.element("tr");
      row.append(this.shareCell(share, contribution, most), detrun.element("td", signed(contribution)), this.stepCell(step),
        detrun.element("td", run.has(step) ? run.path(step) : ""), this.linesCell(step, did, lines));
      return row;
    });
    if (credit[name].length > ROWS_MAX) rows.push(detrun.row(["", "", "", "", `and ${(credit[name].length - ROWS_MAX).toLocaleString("en")} steps with less`]));
    document.querySelector("#gradient-credit tbody").replaceChildren(...rows);
    const ways = path[name] || [];
    document.getElementById("gradient-path").hidden = !ways.length;
    document.querySelector("#gradient-path tbody").replaceChildren(...ways.map(([origin, target, contribution, share, lines]) => {
      const row = detrun.element("tr");
      row.append(this.shareCell(share, contribution, 1), detrun.element("td", signed(contribution)),
        origin < 0 ? detrun.element("td", name) : this.stepCell(origin), this.stepCell(target),
        detrun.element("td", run.has(target) ? run.path(target) : ""), this.linesCell(target, "", lines));
      return row;
    }));
    const left = flowsLeftOut[name] || 0;
    document.getElementById("gradient-left-out").textContent = left ? `${left.toLocaleString("en")} bows that carry less than a ten-thousandth each are left out.` : "";
    const onPath = new Set(ways.map(([origin, target]) => `${origin} ${target}`));
    this.diagram.ways.show(
      (flow[name] || []).map(([origin, target, contribution, share]) => ({ origin, target, contribution, share, isOnPath: onPath.has(`${origin} ${target}`) })),
      credit[name].map(([step, contribution, share]) => ({ step, contribution, share })),
    );
    this.diagram.draw();
  }

  // A share with a bar of its width; `most` fills the cell.
  shareCell(share, contribution, most) {
    const cell = detrun.element("td", null, { className: "share" });
    const bar = detrun.element("i");
    bar.style.width = `${Math.max(1, (100 * Math.min(share, most)) / most)}%`;
    bar.style.background = `var(--${contribution > 0 ? "chosen" : "message"})`;
    cell.append(bar, detrun.element("span", `${(100 * share).toFixed(1)} %`));
    return cell;
  }

  stepCell(step) {
    const button = detrun.element("button", step.toLocaleString("en"), { type: "button", title: `go to step ${step.toLocaleString("en")}` });
    button.addEventListener("click", () => this.choose(step));
    const cell = detrun.element("td");
    cell.append(button);
    return cell;
  }

  // The lines that carried it, each with its part where there are several; else all that the step ran, or what it did.
  linesCell(step, did, lines) {
    const cell = detrun.element("td", null, { className: "lines" });
    for (const [place, code, , share] of lines) {
      const line = detrun.element("div");
      if (lines.length > 1) line.append(`${(100 * share).toFixed(1)} %  `);
      line.append(detrun.element("span", `${place}  `), detrun.element("code", code));
      cell.append(line);
    }
    const run = this.diagram.run;
    if (!lines.length && run.has(step)) {
      const all = run.lines(step);
      for (const { name, number, text } of all.slice(0, 6)) {
        const line = detrun.element("div");
        line.append(detrun.element("span", `${name}:${number}  `), detrun.element("code", text));
        cell.append(line);
      }
      if (all.length > 6) cell.append(detrun.element("div", `and ${all.length - 6} more lines`));
    }
    if (did) cell.append(detrun.element("div", did, { className: "did" }));
    return cell;
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
