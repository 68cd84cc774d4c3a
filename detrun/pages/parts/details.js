"use strict";
// One step in full, and in short beside the mouse.

detrun.AROUND = 4; // lines of code before and after the running one

detrun.detailsOf = function (run, step, choose, marks) {
  const facts = detrun.element("dl");
  const fact = (name, text) => facts.append(detrun.element("dt", name), detrun.element("dd", text));
  fact("step", `${step.toLocaleString("en")} at ${detrun.seconds(run.time(step))} of virtual time`);
  fact("task", run.path(step) + (run.lanes[run.lane(step)].group ? ` on ${run.lanes[run.lane(step)].group}` : ""));
  fact("ended in", run.ending(step));
  fact("could have run", `${run.couldRun(step)} task${run.couldRun(step) === 1 ? "" : "s"}`);
  if (run.actionsOf.has(step)) fact("before it", run.actionsOf.get(step).join("; "));
  if (run.did(step).length) fact("did", run.did(step).join("; "));
  if (run.touchedOf.has(step)) fact("touched", run.touchedOf.get(step).join("; "));
  if (marks.length) fact("timers and cancellations", marks.join("; "));
  const links = detrun.element("p");
  const link = (text, target) => {
    if (!run.has(target)) return;
    const button = detrun.element("button", text, { type: "button" });
    button.addEventListener("click", () => choose(target));
    links.append(button, " ");
  };
  const { origin, target, kind, kinds, label, labels } = run.arrows;
  for (const at of run.arrowsInto.get(step) || []) link(`${kinds[kind[at]]} ${labels[label[at]]} from step ${origin[at]}`, origin[at]);
  const further = run.arrowsFrom.get(step) || [];
  for (const at of further.slice(0, 40)) link(`${kinds[kind[at]]} ${labels[label[at]]} to step ${target[at]}`, target[at]);
  if (further.length > 40) links.append(`and ${(further.length - 40).toLocaleString("en")} more that it reached`);
  if (run.linesLeftOut.has(step)) fact("lines left out", `the first ${run.linesLeftOut.get(step).toLocaleString("en")} of this step`);
  return [facts, links, ...detrun.sourceOf(run, step)];
};

// The files around lines that a step ran, all of them or those that are given.
detrun.sourceOf = function (run, step, lines = run.lines(step), around = detrun.AROUND) {
  const places = new Map();
  for (const line of lines) {
    if (!places.has(line.file)) places.set(line.file, new Set());
    places.get(line.file).add(line.number);
  }
  return [...places].map(([file, numbers]) => {
    const [name, texts] = run.files[file];
    const block = detrun.element("div", null, { className: "source" });
    block.append(detrun.element("strong", name), "\n");
    let before = 0;
    const shown = new Set();
    for (const number of numbers) {
      for (let at = Math.max(1, number - around); at <= Math.min(texts.length, number + around); at++) shown.add(at);
    }
    for (const at of [...shown].sort((one, other) => one - other)) {
      if (before && at !== before + 1) block.append("   ⋮\n");
      before = at;
      block.append(detrun.element("span", `${String(at).padStart(4)}  ${texts[at - 1]}\n`, { className: numbers.has(at) ? "running" : "" }));
    }
    for (const number of numbers) {
      if (number > texts.length) block.append(detrun.element("span", `${String(number).padStart(4)}  (a line whose text is not in this page)\n`, { className: "running" }));
    }
    return block;
  });
};

detrun.hoverOf = function (run, step) {
  return [
    detrun.element("strong", `step ${step.toLocaleString("en")}, ${run.path(step)}`),
    detrun.element("div", `${detrun.seconds(run.time(step))}, ends in ${run.ending(step)}`),
    detrun.element("div", detrun.few(run.did(step), 6).join("; ")),
    ...detrun.sourceOf(run, step, run.lines(step).slice(-1), 1),
  ];
};
