"use strict";
// The world at chosen moments: a map of its nodes with what is on its way, and which nodes were up over time.

detrun.World = class {
  constructor(view, choose) {
    this.moments = view.moments;
    this.choose = choose;
    this.names = [...new Set(this.moments.flatMap((moment) => moment.nodes.map((node) => node.name)))];
    document.getElementById("world").hidden = false;
    this.slider = document.getElementById("world-place");
    this.slider.max = this.moments.length - 1;
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value), true));
    this.drawStates();
    this.go(0, false);
  }

  // A row for each node, a stretch for each moment; faults come between.
  drawStates() {
    const [labels, height, width] = [160, 16, 1000];
    const svg = d3.select("#world-states").attr("viewBox", `0 0 ${width} ${height * (this.names.length + 1) + 22}`);
    const end = this.moments[this.moments.length - 1].time || 1;
    const x = d3.scaleLinear([this.moments[0].time, end], [labels, width - 10]);
    this.x = x;
    this.names.forEach((name, row) => {
      svg.append("text").attr("x", 4).attr("y", row * height + 12).attr("font-size", 11).attr("fill", "var(--text)").text(name.slice(0, 26));
      this.moments.forEach((moment, at) => {
        const node = moment.nodes.find((one) => one.name === name);
        const next = this.moments[at + 1] || moment;
        if (!node) return;
        svg.append("rect").attr("x", x(moment.time)).attr("y", row * height + 3)
          .attr("width", Math.max(x(next.time) - x(moment.time), 1.5)).attr("height", height - 5)
          .attr("fill", `var(--node-${node.state})`);
      });
    });
    const most = d3.max(this.moments, (moment) => moment.under_way) || 1;
    const y = d3.scaleLinear([0, most], [height * (this.names.length + 1) - 2, height * this.names.length + 2]);
    svg.append("text").attr("x", 4).attr("y", height * this.names.length + 12).attr("font-size", 11).attr("fill", "var(--message)")
      .text(`messages under way, at most ${most}`);
    svg.append("path").attr("d", d3.line((moment) => x(moment.time), (moment) => y(moment.under_way)).curve(d3.curveStepAfter)(this.moments))
      .attr("fill", "none").attr("stroke", "var(--message)");
    svg.append("g").attr("transform", `translate(0,${height * (this.names.length + 1)})`)
      .call(d3.axisBottom(x).ticks(8).tickFormat((time) => detrun.seconds(time)));
    this.mark = svg.append("line").attr("y1", 0).attr("y2", height * (this.names.length + 1)).attr("stroke", "var(--chosen)");
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
    for (const [source, destination, count, held] of moment.links) {
      const [x0, y0] = place(source);
      const [x1, y1] = place(destination);
      const [bx, by] = [(x0 + x1) / 2 + (y0 - y1) * 0.12, (y0 + y1) / 2 + (x1 - x0) * 0.12];
      svg.append("path").attr("d", `M${x0},${y0} Q${bx},${by} ${x1},${y1}`).attr("fill", "none")
        .attr("stroke", held ? "var(--failed)" : "var(--message)").attr("stroke-width", 1 + Math.min(count, 6) / 2)
        .attr("stroke-dasharray", held ? "4 3" : null);
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
      const row = detrun.element("tr");
      const disk = node.disk.map(([path, seen, durable]) => `${path}: ${seen === null ? "gone" : `${seen} bytes`}, ${durable === null ? "nothing" : durable} durable`);
      const clock = node.clock === null ? "" : `${node.clock >= 0 ? "+" : ""}${detrun.seconds(node.clock)}`;
      [node.name, node.state, node.starts, node.tasks, node.mailbox, clock, disk.join("\n")].forEach((text) => row.append(detrun.element("td", text)));
      return row;
    }));
    const messages = document.getElementById("world-messages");
    messages.replaceChildren(...moment.messages.map(([route, protocol, size, arrives, text]) =>
      detrun.element("li", `${route}  ${protocol}, ${size} bytes, ${arrives === null ? "held back" : `arrives at ${detrun.seconds(arrives)}`}: ${text}`)));
  }
};
