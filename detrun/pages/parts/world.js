"use strict";
// The world at chosen moments: a map of its nodes with what is on its way, and which nodes were up over time.

detrun.World = class {
  static ROWS_MAX = 24; // of links, and of planned faults

  constructor(view, choose) {
    this.moments = view.moments;
    this.texts = view.texts;
    this.bands = view.bands;
    this.faultsLeftOut = view.faults_left_out;
    this.choose = choose;
    this.names = [...new Set(this.moments.flatMap((moment) => moment.nodes.map((node) => node.name)))];
    document.getElementById("world").hidden = false;
    this.slider = document.getElementById("world-place");
    this.slider.max = this.moments.length - 1;
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value), true));
    this.drawStates();
    this.go(0, false);
  }

  // What is drawn over time, row by row: nodes by their states; what was wrong with links; faults of a plan.
  rows() {
    const { nodes, links, planned } = this.bands;
    const rows = this.names.map((name) => ({
      label: name,
      bands: nodes.filter(([, of]) => of === name).map(([state, , begin, end]) => ({ begin, end, fill: `var(--node-${state})`, title: `${name}: ${state}` })),
    }));
    const kinds = new Map();
    for (const [what, begin, end, names] of links) {
      if (!kinds.has(what)) kinds.set(what, []);
      const some = names.length > 12 ? `${names.slice(0, 12).join(", ")} and ${names.length - 12} more` : names.join(", ");
      kinds.get(what).push({ begin, end, fill: "var(--fault-edge)", title: `${what}: ${some}`, links: names.length });
    }
    const shown = [...kinds].slice(0, detrun.World.ROWS_MAX);
    shown.forEach(([what, bands]) => {
      const most = d3.max(bands, (band) => band.links);
      bands.forEach((band) => { band.opacity = 0.25 + 0.55 * (band.links / most); });
      rows.push({ label: what, bands, kind: "links" });
    });
    const left = [];
    if (kinds.size > shown.length) left.push(`${kinds.size - shown.length} kinds of changes of links`);
    if (planned.length > detrun.World.ROWS_MAX) left.push(`${planned.length - detrun.World.ROWS_MAX} planned faults`);
    if (this.bands.leftOut) left.push(`${this.bands.leftOut.toLocaleString("en")} bands that are not in this page`);
    const sparse = this.faultsLeftOut ? ` The moments below are after one of several faults: ${this.faultsLeftOut.toLocaleString("en")} steps with faults have none.` : "";
    document.getElementById("world-left-out").textContent = sparse + (left.length ? `Left out here: ${left.join(", ")}. The list of faults below the diagram has all that are in this page.` : "");
    for (const [name, kind, about, begin, end] of planned.slice(0, detrun.World.ROWS_MAX)) {
      const title = `${name}: ${kind}${about ? `, ${about}` : ""}`;
      rows.push({ label: name, kind: "planned", bands: [{ begin, end: end === null ? begin : Math.min(end, this.bands.end), fill: "var(--killed)", title }] });
    }
    return rows;
  }

  drawStates() {
    const [labels, height, width] = [250, 16, 1000];
    const rows = this.rows();
    const bottom = height * rows.length;
    const svg = d3.select("#world-states").attr("viewBox", `0 0 ${width} ${bottom + height + 22}`);
    const begin = Math.min(this.moments[0].time, d3.min(rows, (row) => d3.min(row.bands, (band) => band.begin)));
    const end = Math.max(this.moments[this.moments.length - 1].time, this.bands.end) || 1;
    const x = (this.x = d3.scaleLinear([begin, end], [labels, width - 10]));
    rows.forEach(({ label, bands, kind }, row) => {
      svg.append("text").attr("x", 4).attr("y", row * height + 12).attr("font-size", 11).attr("fill", kind === "links" ? "var(--fault-edge)" : kind ? "var(--killed)" : "var(--text)")
        .text(label.length > 38 ? `${label.slice(0, 37)}…` : label).append("title").text(label);
      for (const band of bands) {
        svg.append("rect").attr("class", `band ${kind || "node"}`).attr("x", x(band.begin)).attr("y", row * height + 3)
          .attr("width", Math.max(x(band.end) - x(band.begin), 1.5)).attr("height", height - 5)
          .attr("fill", band.fill).attr("fill-opacity", band.opacity === undefined ? 1 : band.opacity)
          .append("title").text(`${band.title}, ${detrun.seconds(band.begin)} to ${detrun.seconds(band.end)}`);
      }
    });
    const most = d3.max(this.moments, (moment) => moment.under_way) || 1;
    const y = d3.scaleLinear([0, most], [bottom + height - 2, bottom + 2]);
    svg.append("text").attr("x", 4).attr("y", bottom + 12).attr("font-size", 11).attr("fill", "var(--message)")
      .text(`messages under way, at most ${most}`);
    svg.append("path").attr("d", d3.line((moment) => x(moment.time), (moment) => y(moment.under_way)).curve(d3.curveStepAfter)(this.moments))
      .attr("fill", "none").attr("stroke", "var(--message)");
    svg.append("g").attr("transform", `translate(0,${bottom + height})`)
      .call(d3.axisBottom(x).ticks(8).tickFormat((time) => detrun.seconds(time)));
    this.mark = svg.append("line").attr("y1", 0).attr("y2", bottom + height).attr("stroke", "var(--chosen)");
  }

  go(place, chosen) {
    const moment = this.moments[place];
    this.slider.value = place;
    document.getElementById("world-said").textContent = `after step ${moment.step.toLocaleString("en")}, at ${detrun.seconds(moment.time)}`;
    this.mark.attr("x1", this.x(moment.time)).attr("x2", this.x(moment.time));
    this.drawMap(moment);
    this.drawTables(moment);
    if (chosen) this.choose(moment.step);
  }

  drawMap(moment) {
    const svg = d3.select("#world-map");
    svg.selectAll("*").remove();
    const place = (name) => {
      const angle = (2 * Math.PI * this.names.indexOf(name)) / this.names.length - Math.PI / 2;
      return [190 * Math.cos(angle), 120 * Math.sin(angle)];
    };
    const wrong = moment.settings.filter(([, , , what]) => what);
    const busy = new Set(moment.links.map(([source, destination]) => `${source} ${destination}`));
    const idle = wrong.filter(([source, destination]) => !busy.has(`${source} ${destination}`)).map(([source, destination]) => [source, destination, 0, 0]);
    const broken = new Set(wrong.map(([source, destination]) => `${source} ${destination}`));
    for (const [source, destination, count, held] of [...moment.links, ...idle]) {
      const isBroken = held || broken.has(`${source} ${destination}`);
      const [x0, y0] = place(source);
      const [x1, y1] = place(destination);
      const [bx, by] = [(x0 + x1) / 2 + (y0 - y1) * 0.12, (y0 + y1) / 2 + (x1 - x0) * 0.12];
      svg.append("path").attr("d", `M${x0},${y0} Q${bx},${by} ${x1},${y1}`).attr("fill", "none")
        .attr("class", isBroken ? "link broken" : "link").attr("stroke", isBroken ? "var(--failed)" : "var(--message)")
        .attr("stroke-width", 1 + Math.min(count, 6) / 2).attr("stroke-dasharray", isBroken ? "4 3" : null);
      if (!count) continue;
      svg.append("text").attr("x", bx * 0.8 + x1 * 0.2).attr("y", by * 0.8 + y1 * 0.2).attr("font-size", 10).attr("fill", "var(--text)")
        .text(`${count}${held ? `, ${held} held` : ""}`);
    }
    for (const node of moment.nodes) {
      const [x, y] = place(node.name);
      svg.append("circle").attr("cx", x).attr("cy", y).attr("r", 11).attr("fill", `var(--node-${node.state})`);
      svg.append("text").attr("x", x).attr("y", y - 14).attr("text-anchor", "middle").attr("font-size", 11).attr("fill", "var(--text)")
        .text(node.name);
    }
  }

  drawTables(moment) {
    const nodes = document.getElementById("world-nodes");
    nodes.replaceChildren(...moment.nodes.map((node) => {
      const disk = node.disk.map(([path, seen, durable]) => `${path}: ${seen === null ? "gone" : `${seen} bytes`}, ${durable === null ? "nothing" : durable} durable`);
      if (node.files_left_out) disk.push(`and ${node.files_left_out.toLocaleString("en")} more files`);
      const clock = node.clock === null ? "" : `${node.clock >= 0 ? "+" : ""}${detrun.seconds(Number(node.clock.toPrecision(4)))}`;
      return detrun.row([node.name, node.state, node.starts, node.tasks, node.mailbox, clock, disk.join("\n")]);
    }));
    const links = moment.settings.filter(([, , , wrong, queued, count]) => wrong || queued || count);
    const quiet = moment.settings.length - links.length;
    const more = [];
    if (quiet) more.push(`${quiet} more links with nothing on them`);
    if (moment.links_left_out) more.push(`${moment.links_left_out.toLocaleString("en")} links left out`);
    document.getElementById("world-quiet").textContent = more.join("; ");
    document.getElementById("world-links").replaceChildren(...links.map(([source, destination, text, wrong, queued, count, held]) => {
      const carried = `${count}${held ? `, ${held} held` : ""}`;
      const bytes = queued ? `${queued.toLocaleString("en")} bytes` : "";
      return detrun.row([`${source} -> ${destination}`, this.texts[text], wrong, carried, bytes], { className: wrong ? "wrong" : "" });
    }));
    const messages = document.getElementById("world-messages");
    messages.replaceChildren(...moment.messages.map(([route, protocol, size, arrives, text]) =>
      detrun.element("li", `${route}  ${protocol}, ${size} bytes, ${arrives === null ? "held back" : `arrives at ${detrun.seconds(arrives)}`}: ${text}`)));
    const later = moment.under_way - moment.messages.length;
    if (later > 0) messages.append(detrun.element("li", `and ${later.toLocaleString("en")} more`));
  }
};
