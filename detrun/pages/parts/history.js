"use strict";
// A history that is not linearizable: clients are rows, operations bars, and a line goes through the longest legal order.

detrun.History = class {
  static ROW = 40;
  static LABELS = 170;
  static COLOURS = { legal: "done", stuck: "failed", pending: "wait", other: "line" };

  constructor(view, choose) {
    this.view = view;
    this.choose = choose;
    const place = (name) => document.getElementById(name);
    place("history").hidden = false;
    this.bars = view.bars.map(([client, text, begin, end, at, role, called, returned]) => ({ client, text, begin, end, at, role, called, returned }));
    const legal = this.bars.filter((bar) => bar.at !== null).sort((one, other) => one.at - other.at);
    this.stuck = this.bars.filter((bar) => bar.role === "stuck");
    const left = view.leftOut ? ` Of the operations before and after them ${view.leftOut.toLocaleString("en")} ${view.leftOut === 1 ? "is" : "are"} left out.` : "";
    place("history-said").textContent = `${legal.length === 1 ? "One operation has" : `${legal.length} operations have`} a legal order${view.part ? ` of ${view.part}` : ""}; ` +
      `behind it there is no place for ${this.stuck.map((bar) => bar.text).join(", ")}.${left}`;
    this.draw(legal);
    const list = place("history-order");
    list.append(detrun.element("li", `begins as ${view.states[0]}`, { value: 0 }));
    legal.forEach((bar) => list.append(this.item(bar, `, then ${view.states[bar.at + 1]}`)));
    this.stuck.forEach((bar) => list.append(this.item(bar, ": no place left", "stuck")));
  }

  item(bar, after, kind) {
    const item = detrun.element("li", null, { className: kind || "" });
    item.append(`${bar.text} by ${this.view.clients[bar.client]}${after} `);
    if (bar.called !== null) {
      const button = detrun.element("button", `step ${bar.called.toLocaleString("en")}`, { type: "button" });
      button.addEventListener("click", () => this.choose(bar.called));
      item.append(button);
    }
    return item;
  }

  draw(legal) {
    const { ROW, LABELS, COLOURS } = detrun.History;
    const { clients } = this.view;
    const last = d3.max(this.bars, (bar) => Math.max(bar.begin, bar.end || 0));
    const width = Math.max(1000, LABELS + 40 * (last + 2));
    const height = ROW * clients.length + 12;
    const x = d3.scaleLinear([0, last + 1], [LABELS, width - 10]);
    const y = (client) => ROW * client + 6;
    const svg = d3.select("#history-bars").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    clients.forEach((name, client) => svg.append("text").attr("x", 4).attr("y", y(client) + 16).attr("font-size", 12)
      .attr("fill", "var(--text)").text(name.length > 26 ? `…${name.slice(-25)}` : name).append("title").text(name));
    for (const bar of this.bars) {
      const [begin, end] = [x(bar.begin), bar.end === null ? width - 4 : x(bar.end)];
      const group = svg.append("g").attr("class", `bar ${bar.role}`).style("cursor", bar.called === null ? null : "pointer")
        .on("click", () => bar.called !== null && this.choose(bar.called));
      const steps = bar.called === null ? "" : `, called in step ${bar.called}${bar.returned === null ? "" : `, returned in step ${bar.returned}`}`;
      group.append("title").text(`${bar.text} by ${clients[bar.client]}${steps}`);
      group.append("rect").attr("x", begin).attr("y", y(bar.client)).attr("width", Math.max(end - begin, 3)).attr("height", ROW - 12).attr("rx", 3)
        .attr("fill", `var(--${COLOURS[bar.role]})`).attr("fill-opacity", bar.role === "other" ? 0.5 : 0.35)
        .attr("stroke", `var(--${COLOURS[bar.role]})`).attr("stroke-dasharray", bar.end === null ? "5 4" : null);
      const room = Math.floor((end - begin - 8) / 6.6);
      group.append("text").attr("x", begin + 4).attr("y", y(bar.client) + 13).attr("font-size", 11).attr("fill", "var(--text)")
        .text(bar.text.length <= room ? bar.text : `${bar.text.slice(0, Math.max(room - 1, 1))}…`);
    }
    // Each operation takes effect at a moment inside its bar; the moments ascend in the legal order.
    let at = -Infinity;
    const points = legal.map((bar) => {
      const most = bar.end === null ? last + 1 : bar.end;
      const next = d3.min(this.bars.filter((one) => one.at !== null && one.at > bar.at && one.end !== null), (one) => one.end);
      at = Math.max(at, bar.begin);
      at += Math.min(0.3, (Math.min(most, next === undefined ? most : next) - at) / (legal.length + 1));
      return [x(at), y(bar.client) + ROW - 18];
    });
    svg.append("path").attr("class", "order").attr("d", d3.line()(points) || "").attr("fill", "none").attr("stroke", "var(--done)").attr("stroke-width", 2);
    points.forEach(([px, py], place) => {
      svg.append("circle").attr("class", "moment").attr("cx", px).attr("cy", py).attr("r", 3.5).attr("fill", "var(--done)")
        .append("title").text(`${place + 1}: ${legal[place].text}, then ${this.view.states[place + 1]}`);
    });
    const [fx, fy] = points.length ? points[points.length - 1] : [LABELS, 0];
    for (const bar of this.stuck) {
      svg.append("path").attr("class", "stuck").attr("d", `M${fx},${fy} L${Math.max(x(bar.begin), fx)},${y(bar.client) + ROW - 18}`)
        .attr("stroke", "var(--failed)").attr("stroke-width", 2).attr("stroke-dasharray", "4 3").attr("fill", "none");
    }
  }
};
