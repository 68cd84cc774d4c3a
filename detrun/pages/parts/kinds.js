"use strict";
// What each kind says of each parameter, with bars of two standard errors; the one they are compared with as a band.

detrun.drawKinds = function (place, { parameters, meanings, refused, verdict }) {
  place.hidden = false;
  verdict.forEach((text) => place.append(detrun.element("p", text)));
  for (const [name, answers, reference] of parameters) {
    const known = answers.filter(([, value]) => typeof value === "number").map(([kind, value, error]) => ({
      kind, value, error: typeof error === "number" ? error : 0,
      said: `${value.toPrecision(4)} ± ${typeof error === "number" ? error.toPrecision(2) : error}`,
    }));
    if (!known.length) continue;
    const room = (texts) => 24 + 6.5 * d3.max(texts, (text) => text.length); // of letters of 12 pixels
    const [left, width, row] = [room(known.map((one) => one.kind)), 640, 24];
    const right = width - room(known.map((one) => one.said));
    const height = row * known.length + 26;
    const figure = detrun.element("figure");
    figure.append(detrun.element("figcaption", `derivative by ${name}, ± 2 standard errors`));
    const svg = d3.select(figure).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img")
      .attr("aria-label", known.map((one) => `${one.kind}: ${one.said}`).join("; "));
    const low = d3.min(known, ({ value, error }) => value - 2 * error);
    const high = d3.max(known, ({ value, error }) => value + 2 * error);
    const x = d3.scaleLinear(low < high ? [low, high] : [low - 1, high + 1], [left, right]).nice();
    const best = known.find(({ kind }) => kind === reference);
    if (best) {
      const [from, to] = [x(best.value - 2 * best.error), x(best.value + 2 * best.error)];
      svg.append("rect").attr("class", "reference").attr("x", from).attr("y", 0).attr("height", row * known.length)
        .attr("width", Math.max(to - from, 1)).attr("fill", "var(--running)").attr("stroke", "var(--lock)").attr("stroke-opacity", 0.6);
    }
    known.forEach(({ kind, value, error, said }, at) => {
      const y = row * at + row / 2;
      const label = (text, place) => svg.append("text").attr("x", place).attr("y", y + 4).attr("font-size", 12).attr("fill", "var(--text)").text(text);
      label(kind, 4);
      label(said, right + 20);
      svg.append("line").attr("class", "error").attr("x1", x(value - 2 * error)).attr("x2", x(value + 2 * error)).attr("y1", y).attr("y2", y)
        .attr("stroke", "var(--step)").attr("stroke-width", 2);
      svg.append("circle").attr("cx", x(value)).attr("cy", y).attr("r", 4).attr("fill", "var(--step)");
    });
    svg.append("g").attr("transform", `translate(0,${row * known.length + 2})`).call(d3.axisBottom(x).ticks(5));
    place.append(figure);
  }
  const list = detrun.element("dl");
  for (const [kind, meaning, cost] of meanings) list.append(detrun.element("dt", kind), detrun.element("dd", `${meaning}${cost ? ` (${cost})` : ""}`));
  for (const [kind, why] of refused) list.append(detrun.element("dt", `${kind}: refused`), detrun.element("dd", why));
  if (list.children.length) place.append(list);
};
