"use strict";

/** Functions by kind of clip that draw it into its view between two frames. */
function makeDrawings(scene, style) {
  const PAINT = {
    red: "#e5484d", green: "#2f9e5b", blue: "#3b82f6",
    purple: "#a855f7", yellow: "#e0b100", grey: "#8b95a1",
  };
  const TURNS = { right: 0, down: 1, left: 2, up: 3 };

  /** The context of a canvas that fills its place at the screen's resolution. */
  function sized(canvas, heightOfWidth) {
    const width = canvas.clientWidth || 240;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(width * heightOfWidth * ratio);
    }
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  /** The frames before and after a time, and how far between them it is, eased. */
  function between(time, frames) {
    const last = frames.length - 1;
    const index = Math.min(Math.floor(time), last);
    const part = index === last ? 0 : time - index;
    return { index, last, part, eased: part * part * (3 - 2 * part), next: Math.min(index + 1, last) };
  }

  const mix = (from, to, share) => from + share * (to - from);

  function pushes(canvas, clip, time) {
    const [left, right, bottom, top] = scene.bounds;
    const context = sized(canvas, (top - bottom) / (right - left));
    const scale = canvas.width / (right - left);
    const x = (value) => (value - left) * scale;
    const y = (value) => (top - value) * scale;
    drawWalls(context, x, y, scale);
    const { index, last, part, eased, next } = between(time, clip.frames);
    const centres = clip.frames[index].map((centre, ball) => [
      mix(centre[0], clip.frames[next][ball][0], eased),
      mix(centre[1], clip.frames[next][ball][1], eased),
    ]);
    drawTracks(context, clip, index, centres, x, y, scale);
    centres.forEach((centre, ball) =>
      drawBall(context, x(centre[0]), y(centre[1]), scene.radius * scale, scene.colors[ball]));
    if (index < last) drawArrow(context, clip.strokes[index], x, y, scale, 1 - 0.75 * part);
  }

  function drawWalls(context, x, y, scale) {
    const [left, right, bottom, top] = scene.walls;
    context.strokeStyle = style("--wall");
    context.lineWidth = Math.max(0.012 * scale, 1);
    context.beginPath();
    context.roundRect(x(left), y(top), (right - left) * scale, (top - bottom) * scale, 0.02 * scale);
    context.stroke();
  }

  function drawTracks(context, clip, index, centres, x, y, scale) {
    context.lineWidth = 0.03 * scale;
    context.lineCap = context.lineJoin = "round";
    context.globalAlpha = Number(style("--track")) * 2;
    centres.forEach((centre, ball) => {
      context.strokeStyle = scene.colors[ball];
      context.beginPath();
      for (let frame = 0; frame <= index; frame += 1) {
        context.lineTo(x(clip.frames[frame][ball][0]), y(clip.frames[frame][ball][1]));
      }
      context.lineTo(x(centre[0]), y(centre[1]));
      context.stroke();
    });
    context.globalAlpha = 1;
  }

  function drawBall(context, x, y, radius, color) {
    context.fillStyle = "rgba(0, 0, 0, .16)";
    context.beginPath();
    context.arc(x + 0.06 * radius, y + 0.1 * radius, radius, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = color;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    const shade = context.createRadialGradient(
      x - 0.35 * radius, y - 0.4 * radius, 0.08 * radius, x, y, radius);
    shade.addColorStop(0, "rgba(255, 255, 255, .55)");
    shade.addColorStop(0.45, "rgba(255, 255, 255, 0)");
    shade.addColorStop(1, "rgba(0, 0, 0, .22)");
    context.fillStyle = shade;
    context.fill();
  }

  function drawArrow(context, stroke, x, y, scale, alpha) {
    const [x0, y0, x1, y1] = [x(stroke[0]), y(stroke[1]), x(stroke[2]), y(stroke[3])];
    const angle = Math.atan2(y1 - y0, x1 - x0);
    const head = 0.055 * scale;
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = style("--ink");
    context.lineWidth = Math.max(0.016 * scale, 1.5);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1 - 0.7 * head * Math.cos(angle), y1 - 0.7 * head * Math.sin(angle));
    context.stroke();
    context.beginPath();
    context.moveTo(x1, y1);
    for (const turn of [2.7, -2.7]) {
      context.lineTo(x1 + head * Math.cos(angle + turn), y1 + head * Math.sin(angle + turn));
    }
    context.closePath();
    context.fill();
    context.globalAlpha = 1;
  }

  function grid(canvas, clip, time) {
    const context = sized(canvas, clip.height / clip.width);
    const cell = canvas.width / clip.width;
    const { index, eased, next } = between(time, clip.frames);
    drawFloor(context, clip, cell);
    unfolded(clip)[index].forEach((thing, place) => {
      if (thing < 0) return;
      const [x, y] = [place % clip.width, Math.floor(place / clip.width)];
      drawThing(context, clip.things[thing], (x + 0.5) * cell, (y + 0.5) * cell, cell);
    });
    const [x, y, direction, carried] = clip.frames[index];
    const [toX, toY, toDirection] = clip.frames[next];
    const quarters = (TURNS[toDirection] - TURNS[direction] + 4) % 4;
    const turn = TURNS[direction] + eased * (quarters === 3 ? -1 : quarters);
    const centre = [(mix(x, toX, eased) + 0.5) * cell, (mix(y, toY, eased) + 0.5) * cell];
    drawAgent(context, ...centre, (turn * Math.PI) / 2, cell);
    if (carried < 0) return;
    context.beginPath();
    context.arc(...centre, 0.27 * cell, 0, 2 * Math.PI);
    context.fillStyle = style("--card");
    context.fill();
    drawThing(context, clip.things[carried], ...centre, 0.5 * cell);
  }

  /** Every frame's cells in full, from what has changed in each; made once a clip. */
  function unfolded(clip) {
    if (clip.cells) return clip.cells;
    let cells = new Array(clip.width * clip.height).fill(-1);
    clip.cells = clip.frames.map((frame) => {
      const changes = frame[4];
      if (changes.length) cells = [...cells];
      for (let place = 0; place < changes.length; place += 2) {
        cells[changes[place]] = changes[place + 1];
      }
      return cells;
    });
    return clip.cells;
  }

  function drawFloor(context, clip, cell) {
    context.strokeStyle = style("--grid");
    context.lineWidth = Math.max(0.02 * cell, 1);
    context.beginPath();
    for (let x = 1; x < clip.width; x += 1) {
      context.moveTo(x * cell, 0);
      context.lineTo(x * cell, clip.height * cell);
    }
    for (let y = 1; y < clip.height; y += 1) {
      context.moveTo(0, y * cell);
      context.lineTo(clip.width * cell, y * cell);
    }
    context.stroke();
  }

  function drawThing(context, [type, color, doorState], x, y, size) {
    context.fillStyle = context.strokeStyle = PAINT[color] || style("--wall");
    context.lineWidth = 0.1 * size;
    context.beginPath();
    if (type === "wall") {
      context.fillRect(x - size / 2 - 0.5, y - size / 2 - 0.5, size + 1, size + 1);
    } else if (type === "ball") {
      context.arc(x, y, 0.32 * size, 0, 2 * Math.PI);
      context.fill();
    } else if (type === "box") {
      context.rect(x - 0.3 * size, y - 0.3 * size, 0.6 * size, 0.6 * size);
      context.moveTo(x - 0.3 * size, y);
      context.lineTo(x + 0.3 * size, y);
      context.stroke();
    } else if (type === "key") {
      context.arc(x, y - 0.2 * size, 0.13 * size, 0, 2 * Math.PI);
      context.moveTo(x, y - 0.07 * size);
      context.lineTo(x, y + 0.34 * size);
      context.lineTo(x + 0.15 * size, y + 0.34 * size);
      context.moveTo(x, y + 0.16 * size);
      context.lineTo(x + 0.12 * size, y + 0.16 * size);
      context.stroke();
    } else if (type === "door") {
      drawDoor(context, doorState, x, y, size);
    }
  }

  /** An open door is a frame, a closed one a leaf with a knob, a locked one has a keyhole. */
  function drawDoor(context, state, x, y, size) {
    context.rect(x - 0.43 * size, y - 0.43 * size, 0.86 * size, 0.86 * size);
    context.stroke();
    if (state === "open") return;
    context.globalAlpha = state === "locked" ? 0.6 : 0.3;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    if (state === "locked") {
      context.arc(x, y - 0.08 * size, 0.1 * size, 0, 2 * Math.PI);
      context.rect(x - 0.05 * size, y, 0.1 * size, 0.22 * size);
    } else {
      context.arc(x + 0.2 * size, y, 0.09 * size, 0, 2 * Math.PI);
    }
    context.fillStyle = style("--ink");
    context.fill();
  }

  function drawAgent(context, x, y, angle, cell) {
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.beginPath();
    context.moveTo(0.4 * cell, 0);
    context.lineTo(-0.32 * cell, 0.32 * cell);
    context.lineTo(-0.18 * cell, 0);
    context.lineTo(-0.32 * cell, -0.32 * cell);
    context.closePath();
    context.fillStyle = style("--ink");
    context.fill();
    context.restore();
  }

  function pages(view, clip, time) {
    const text = clip.frames[between(time, clip.frames).index];
    if (view.textContent !== text) view.textContent = text;
  }

  return { pushes, grid, pages };
}
