"use strict";
// Marks on the lanes of the diagram: timers, from where they are set to where they fire, and waits that are cancelled.

detrun.Marks = class {
  constructor(run) {
    this.run = run;
    this.timersOfLane = run.lanes.map(() => []);
    run.timers.forEach((timer) => this.timersOfLane[timer.lane].push(timer));
    this.cancellationsOfLane = run.lanes.map(() => []);
    run.cancellations.forEach((one) => this.cancellationsOfLane[one.lane].push(one));
  }

  begin() { this.timersDrawn = this.cancellationsDrawn = 0; }

  // On a lane whose top is there; `hit` is told of each place that can be pointed at, and how to say what is there.
  draw(pen, diagram, scale, lane, top, hit) {
    const isSteps = diagram.axis === "step";
    const half = isSteps ? Math.max(scale(1) - scale(0), 1.2) / 2 : 1.5;
    const y = top + 2.5;
    pen.lineWidth = 1;
    const drawn = new Set(); // begins and ends in pixels: of those that cannot be told apart one is drawn
    for (const timer of this.timersOfLane[lane]) {
      const begin = scale(diagram.value(timer.step)) + half;
      const isOver = timer.last !== null;
      let end = isOver ? scale(isSteps ? timer.last + 1 : timer.ended === "fired" ? timer.due : diagram.value(timer.last)) : diagram.width + 9;
      if (!isOver && !isSteps) end = Math.min(end, scale(timer.due));
      end = Math.max(end, begin);
      if (end < detrun.Diagram.LABELS || begin > diagram.width) continue;
      const place = Math.round(begin) * 1e5 + Math.round(end);
      if (drawn.has(place)) continue;
      drawn.add(place);
      this.timersDrawn += 1;
      pen.strokeStyle = pen.fillStyle = diagram.colour("timer");
      pen.setLineDash(timer.kind === "sleep" ? [] : [3, 2]);
      pen.beginPath();
      pen.moveTo(begin, y);
      pen.lineTo(end, y);
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.arc(begin, y, 2, 0, 7);
      pen.stroke();
      pen.beginPath();
      if (timer.ended === "fired") {
        pen.arc(end, y, 2.5, 0, 7);
        pen.fill();
      } else if (isOver) {
        pen.moveTo(end, y - 3);
        pen.lineTo(end, y + 3);
        pen.stroke();
      }
      hit(begin - 3, end + 3, top, top + 5, () => this.timerSaid(timer), timer.step);
    }
    for (const one of this.cancellationsOfLane[lane]) {
      const x = isSteps ? scale(one.step + (one.isAfter ? 1 : 0.5)) : scale(this.timeOf(one));
      if (x < detrun.Diagram.LABELS || x > diagram.width) continue;
      this.cancellationsDrawn += 1;
      const middle = top + detrun.Diagram.LANE / 2;
      pen.strokeStyle = diagram.colour("cancelled");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(x - 3.5, middle - 3.5);
      pen.lineTo(x + 3.5, middle + 3.5);
      pen.moveTo(x + 3.5, middle - 3.5);
      pen.lineTo(x - 3.5, middle + 3.5);
      pen.stroke();
      hit(x - 5, x + 5, middle - 5, middle + 5, () => this.cancellationSaid(one), one.step);
    }
  }

  // What comes after a step has the time of the next one.
  timeOf({ step, isAfter }) {
    return this.run.time(Math.min(step + (isAfter ? 1 : 0), this.run.end - 1));
  }

  timerSaid({ lane, kind, place, step, due, last, ended }) {
    const set = `${kind} of ${this.run.lanes[lane].path}, set ${place ? `at ${place} ` : ""}in step ${step.toLocaleString("en")} for ${detrun.seconds(due)}`;
    if (last === null) return `${set}; never ended`;
    return `${set}; ${ended} ${ended === "fired" ? "after" : "in"} step ${last.toLocaleString("en")}`;
  }

  cancellationSaid({ lane, step, isAfter, by }) {
    return `${this.run.lanes[lane].path} is cancelled ${by} ${isAfter ? "after" : "in"} step ${step.toLocaleString("en")}, at ${detrun.seconds(this.timeOf({ step, isAfter }))}`;
  }

  // Everything that a step set, let fire or cancelled, in words, which are made for this step alone.
  saidOf(step) {
    this.ofStep ||= this.marksOfSteps();
    return (this.ofStep.get(step) || []).map((one) => (one.kind ? this.timerSaid(one) : this.cancellationSaid(one)));
  }

  // By step: the timers and cancellations that belong to it.
  marksOfSteps() {
    const found = new Map();
    this.run.timers.forEach((timer) => {
      push(found, timer.step, timer);
      if (timer.last !== null && timer.last !== timer.step) push(found, timer.last, timer);
    });
    this.run.cancellations.forEach((one) => push(found, one.step, one));
    return found;
  }
};
