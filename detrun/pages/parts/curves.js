"use strict";
// Curves with error bars, a panel for each quantity. A verdict is a square at the end of its curve.

detrun.COLOURS = ["var(--message)", "var(--lock)", "var(--done)", "var(--killed)", "var(--failed)", "var(--step)"];

detrun.panel = function ({ title, x: along, y: up, curves, level }) {
  const [left, width, height] = [70, 620, 230];
  const figure = detrun.element("figure");
  figure.append(detrun.element("figcaption", title));
  const all = curves.flatMap(([, points, verdict]) => [...points, ...verdict]);
  const svg = d3.select(figure).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img");
  svg.attr("aria-label", curves.map(([name, points, verdict]) => {
    const last = verdict[0] || points[points.length - 1];
    return last ? `${name}: ${last[1].toPrecision(4)} at ${last[0]}` : `${name}: none`;
  }).join("; "));
  if (!all.length) return figure;
  const low = d3.min([...all.map(([, y, error]) => y - error), ...(level ? [level[1]] : [])]);
  const high = d3.max([...all.map(([, y, error]) => y + error), ...(level ? [level[1]] : [])]);
  const x = d3.scaleLinear(d3.extent(all, (one) => one[0]), [left, width - 12]);
  const y = d3.scaleLinear(low < high ? [low, high] : [low - 1, high + 1], [height - 40, 10]).nice();
  const text = (said, px, py, anchor) => svg.append("text").attr("x", px).attr("y", py).attr("font-size", 11).attr("text-anchor", anchor || "start")
    .attr("fill", "var(--text)").text(said);
  svg.append("g").attr("transform", `translate(0,${height - 38})`).call(d3.axisBottom(x).ticks(6));
  svg.append("g").attr("transform", `translate(${left - 4},0)`).call(d3.axisLeft(y).ticks(5));
  text(along, (left + width) / 2, height - 6, "middle");
  text(up, 4, 8);
  if (level) {
    svg.append("line").attr("class", "level").attr("x1", left).attr("x2", width - 12).attr("y1", y(level[1])).attr("y2", y(level[1]))
      .attr("stroke", "var(--faint)").attr("stroke-dasharray", "5 4").append("title").text(level[0]);
  }
  curves.forEach(([name, points, verdict], at) => {
    const colour = detrun.COLOURS[at % detrun.COLOURS.length];
    const group = svg.append("g").attr("class", "curve");
    group.append("path").attr("d", d3.line((one) => x(one[0]), (one) => y(one[1]))(points) || "").attr("fill", "none").attr("stroke", colour).attr("stroke-opacity", 0.7);
    for (const [px, py, error] of [...points, ...verdict].filter((one) => one[2])) {
      group.append("line").attr("class", "error").attr("x1", x(px)).attr("x2", x(px)).attr("y1", y(py - error)).attr("y2", y(py + error))
        .attr("stroke", colour).attr("stroke-opacity", 0.6);
    }
    const told = ([px, py, error]) => `${name}: ${py.toPrecision(5)}${error ? ` ± ${error.toPrecision(2)}` : ""} at ${px.toLocaleString("en")}`;
    for (const point of points) {
      group.append("circle").attr("cx", x(point[0])).attr("cy", y(point[1])).attr("r", 2.2).attr("fill", colour).append("title").text(told(point));
    }
    for (const point of verdict) {
      group.append("rect").attr("class", "verdict").attr("x", x(point[0]) - 4).attr("y", y(point[1]) - 4).attr("width", 8).attr("height", 8)
        .attr("fill", colour).append("title").text(told(point));
    }
  });
  const legend = detrun.element("p", null, { className: "legend" });
  [...curves.map(([name], at) => [name, detrun.COLOURS[at % detrun.COLOURS.length]]), ...(level ? [[`${level[0]}, dashed`, "var(--faint)"]] : [])]
    .forEach(([name, colour]) => legend.append(detrun.swatch(name, colour)));
  figure.append(legend);
  return figure;
};

(async () => {
  const found = await detrun.document();
  const place = (name) => document.getElementById(name);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const setTheme = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  setTheme();
  dark.addEventListener("change", setTheme);
  place("outcome").textContent = found.outcome;
  for (const [name, text] of Object.entries(found.facts)) {
    place("facts").append(detrun.element("dt", name), detrun.element("dd", text));
  }
  found.notes.forEach((text) => place("notes").append(detrun.element("li", text)));
  if (found.kinds) detrun.drawKinds(place("kinds"), found.kinds);
  found.panels.forEach((panel) => place("panels").append(detrun.panel(panel)));
  if (found.head.length) document.querySelector("#curves-table thead").append(detrun.row(found.head, { cell: "th" }));
  found.rows.forEach((cells) => document.querySelector("#curves-table tbody").append(detrun.row(cells)));
  document.documentElement.dataset.ready = "yes";
})().catch((error) => {
  document.getElementById("outcome").textContent = `This page cannot be shown: ${error}`;
  throw error;
});
