"use strict";
// The ways of a derivative over the diagram: bows between the steps between which it flowed, as wide as their share of
// it, and bars on the steps that took it from the parameter.

detrun.Ways = class {
  constructor() {
    this.show([], []);
  }

  // ways: {origin, target, contribution, share, isOnPath}; credits: {step, contribution, share}
  show(ways, credits) {
    this.ways = ways;
    this.credits = credits;
  }

  draw(pen, diagram, scale) {
    const { run } = diagram;
    const half = diagram.axis === "step" ? Math.max(scale(1) - scale(0), 1.2) / 2 : 1.5;
    const middle = (step) => {
      const row = run.has(step) ? diagram.rowOfLane.get(run.lane(step)) : undefined;
      return row === undefined ? null : [scale(diagram.value(step)) + half, diagram.top(row) + detrun.Diagram.LANE / 2];
    };
    this.drawn = 0;
    for (const { origin, target, contribution, share, isOnPath } of this.ways) {
      const [begin, end] = [middle(origin), middle(target)];
      if (!begin || !end || end[0] < detrun.Diagram.LABELS || begin[0] > diagram.width) continue;
      this.drawn += 1;
      const wide = Math.max(0.8, 9 * Math.min(share, 1));
      const lift = Math.min(40, 6 + (end[0] - begin[0]) / 6);
      const bow = (colour, width, alpha) => {
        pen.strokeStyle = diagram.colour(colour);
        pen.lineWidth = width;
        pen.globalAlpha = alpha;
        pen.beginPath();
        pen.moveTo(...begin);
        pen.bezierCurveTo(begin[0] + lift, begin[1] - lift, end[0] - lift, end[1] - lift, ...end);
        pen.stroke();
      };
      if (isOnPath) bow("text", wide + 2.5, 0.9);
      bow(contribution > 0 ? "chosen" : "message", wide, isOnPath ? 1 : 0.35 + 0.5 * Math.min(share, 1));
    }
    pen.globalAlpha = 1;
    for (const { step, contribution, share } of this.credits) {
      const place = middle(step);
      if (!place || place[0] < detrun.Diagram.LABELS || place[0] > diagram.width) continue;
      pen.fillStyle = diagram.colour(contribution > 0 ? "chosen" : "message");
      const height = Math.max(2, (detrun.Diagram.LANE - 4) * Math.min(share, 1));
      pen.fillRect(place[0] - 2, place[1] + detrun.Diagram.LANE / 2 - 3 - height, 4, height);
    }
  }
};
