"use strict";
// Puts the page together.

(async () => {
  const found = await detrun.document();
  const run = (detrun.run = new detrun.Run(found.timeline, found.source));
  const place = (name) => document.getElementById(name);

  const outcome = place("outcome");
  outcome.textContent = found.outcome;
  outcome.className = found.good === null ? "" : found.good ? "good" : "bad";
  for (const [name, text] of Object.entries(found.facts)) {
    place("facts").append(detrun.element("dt", name), detrun.element("dd", text));
  }
  found.notes.forEach((text) => place("notes").append(detrun.element("li", text)));

  const faults = new detrun.Faults(run, found.world && found.world.bands);
  let chosen = null;
  const choose = detrun.choose = (step) => {
    if (!run.has(step)) return;
    chosen = step;
    diagram.choose(step);
    steps.select(step);
    place("details").replaceChildren(...detrun.detailsOf(run, step, choose, diagram.marks.saidOf(step)));
  };
  const hover = (step, event, marks = []) => {
    const box = place("hover");
    box.hidden = step === null && !marks.length;
    if (box.hidden) return;
    const more = marks.length > 4 ? [detrun.element("div", `and ${marks.length - 4} more`)] : [];
    box.replaceChildren(...marks.slice(0, 4).map((mark) => detrun.element("div", mark.said())), ...more, ...(step === null ? [] : detrun.hoverOf(run, step)));
    const frame = place("diagram").getBoundingClientRect();
    box.style.left = `${Math.max(0, Math.min(event.clientX - frame.left + 14, frame.width - box.offsetWidth - 4))}px`;
    box.style.top = `${event.clientY - frame.top + 14}px`;
  };
  const diagram = (detrun.diagram = new detrun.Diagram(run, faults, { hover, choose }));
  const steps = (detrun.steps = new detrun.Steps(run, choose));

  // The nearest step of the lane above or below.
  const beside = (step, places) => {
    for (let row = diagram.rowOfLane.get(run.lane(step)) + places; row >= 0 && row < diagram.rows.length; row += places) {
      const { lane } = diagram.rows[row];
      if (lane === undefined) continue;
      const all = run.stepsOfLane[lane];
      return all[Math.min(detrun.firstAtLeast(all, step), all.length - 1)];
    }
    return null;
  };
  const moves = {
    ArrowRight: (step) => step + 1,
    ArrowLeft: (step) => step - 1,
    ArrowDown: (step) => beside(step, 1),
    ArrowUp: (step) => beside(step, -1),
    n: (step) => run.along(step, 1),
    p: (step) => run.along(step, -1),
    Home: () => run.first,
    End: () => run.end - 1,
  };
  const zooms = { "+": () => diagram.zoomBy(2), "-": () => diagram.zoomBy(0.5), 0: () => diagram.reset() };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inList = event.currentTarget === place("rows");
    if (moves[event.key]) {
      const target = chosen === null && event.key !== "End" ? run.first : moves[event.key](chosen);
      const along = inList && chosen !== null && ["ArrowDown", "ArrowUp"].includes(event.key);
      if (along) {
        const at = detrun.firstAtLeast(steps.shown, chosen) + (event.key === "ArrowDown" ? 1 : -1);
        choose(steps.shown[Math.max(0, Math.min(at, steps.shown.length - 1))]);
      } else if (target !== null && target !== undefined) choose(target);
      event.preventDefault();
    } else if (zooms[event.key]) {
      zooms[event.key]();
      event.preventDefault();
    }
  };
  place("canvas").addEventListener("keydown", pressed);
  place("rows").addEventListener("keydown", pressed);
  place("zoom-in").addEventListener("click", () => diagram.zoomBy(2));
  place("zoom-out").addEventListener("click", () => diagram.zoomBy(0.5));
  place("zoom-all").addEventListener("click", () => diagram.reset());
  place("axis").addEventListener("change", (event) => diagram.setAxis(event.target.value));
  place("show-arrows").addEventListener("change", (event) => { diagram.showsArrows = event.target.checked; diagram.draw(); });
  place("lane-filter").addEventListener("input", (event) => diagram.show((path) => path.includes(event.target.value)));
  let waiting = null;
  place("step-filter").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => steps.filter(event.target.value), 150);
  });
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (isDark) => { document.documentElement.dataset.theme = isDark ? "dark" : "light"; diagram.draw(); };
  setTheme(dark.matches);
  dark.addEventListener("change", () => setTheme(dark.matches));
  place("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));

  const legend = { step: "step that ends in a wait", checkpoint: "gives way", done: "returns", failed: "fails", cancelled: "is cancelled", killed: "is killed", wait: "waits", runnable: "can run", lock: "has a lock; hollow: waits for it", message: "message", wake: "wake-up", spawn: "starts a task", "fault-edge": "fault, or an act of the run" };
  for (const [name, text] of Object.entries(legend)) place("legend").append(detrun.swatch(text, `var(--${name})`));
  if (run.timers.length) place("legend").append(detrun.swatch("timer, from where it is set to where it fires; dashed: a deadline; a stroke: taken back", "var(--timer)", "○─●"));
  if (run.cancellations.length) place("legend").append(detrun.swatch("a wait is cancelled", "var(--cancelled)", "✕"));
  const states = new Set([...faults.grounds.values()].flat().map((one) => one.state));
  for (const [state, text] of [["paused", "node is paused"], ["down", "node is down"], ["off", "node has no power"]]) {
    if (states.has(state)) place("legend").append(detrun.swatch(text, `var(--node-${state})`));
  }
  faults.list(place("faults-list"), choose);
  const left = found.timeline.timersLeftOut;
  if (left) place("marks-left-out").textContent = `${left.toLocaleString("en")} later timers and cancellations are left out.`;
  if (found.gradient) detrun.gradient = new detrun.Gradient(found.gradient, diagram, choose);
  if (found.world) detrun.world = new detrun.World(found.world, choose);
  if (found.failure) {
    detrun.why = new detrun.Why(found.failure, found.values, choose);
    const decisive = found.failure.aligned.findIndex(([one]) => one !== null && found.failure.deciding.some(([row]) => row === one));
    if (found.failure.aligned.length) detrun.why.go(Math.max(decisive, 0));
  }
  document.documentElement.dataset.ready = "yes";
})().catch((error) => {
  const outcome = document.getElementById("outcome");
  outcome.textContent = `This page cannot be shown: ${error}`;
  outcome.className = "bad";
  throw error;
});
