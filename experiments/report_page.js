"use strict";
(() => {
  const STEPS_PER_SECOND = 2;
  const HOLD_SECONDS = 1.2;
  const root = document.documentElement;
  const { scene, players: rollouts } = JSON.parse(document.getElementById("clips").textContent);

  let theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const players = [];
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function setTheme(name) {
    theme = name;
    root.dataset.theme = name;
    for (const player of players) player.draw();
  }

  /** Draws one rollout at a time between two frames. */
  function drawClip(canvas, clip, time) {
    const [left, right, bottom, top] = scene.bounds;
    const width = canvas.clientWidth || 240;
    const ratio = window.devicePixelRatio || 1;
    const height = (width * (top - bottom)) / (right - left);
    if (canvas.width !== Math.round(width * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    const scale = canvas.width / (right - left);
    const x = (value) => (value - left) * scale;
    const y = (value) => (top - value) * scale;
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawWalls(context, x, y, scale);
    const last = clip.frames.length - 1;
    const index = Math.min(Math.floor(time), last);
    const part = index === last ? 0 : time - index;
    const eased = part * part * (3 - 2 * part);
    const next = Math.min(index + 1, last);
    const centres = clip.frames[index].map((centre, ball) => [
      centre[0] + eased * (clip.frames[next][ball][0] - centre[0]),
      centre[1] + eased * (clip.frames[next][ball][1] - centre[1]),
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

  /** One control over the clips of a comparison. */
  class Player {
    constructor(element, clips) {
      this.element = element;
      this.clips = clips;
      this.canvases = [...element.querySelectorAll("canvas")];
      this.button = element.querySelector(".play");
      this.slider = element.querySelector("input");
      this.output = element.querySelector("output");
      this.last = Number(this.slider.max);
      this.time = 0;
      this.playing = false;
      this.button.addEventListener("click", () => this.setPlaying(!this.playing));
      this.slider.addEventListener("input", () => {
        this.setPlaying(false);
        this.time = Number(this.slider.value);
        this.draw();
      });
    }

    setPlaying(playing) {
      this.playing = playing;
      if (playing && this.time >= this.last) this.time = 0;
      this.button.textContent = playing ? "❚❚" : "▶";
      this.button.setAttribute("aria-pressed", String(playing));
    }

    advance(steps) {
      this.time += steps;
      if (this.time > this.last + HOLD_SECONDS * STEPS_PER_SECOND) this.time = 0;
      this.draw();
    }

    draw() {
      const shown = Math.min(this.time, this.last);
      const frame = Math.floor(shown);
      this.canvases.forEach((canvas, index) => drawClip(canvas, this.clips[index], shown));
      this.slider.value = String(frame);
      this.output.textContent = `${frame} / ${this.last}`;
      this.element.dataset.frame = String(frame);
    }
  }

  document.querySelectorAll(".player").forEach((element) => {
    players.push(new Player(element, rollouts[Number(element.dataset.player)]));
  });

  const speed = document.getElementById("speed");
  let before = null;
  function tick(now) {
    const seconds = before === null ? 0 : Math.min((now - before) / 1000, 0.1);
    before = now;
    for (const player of players) {
      if (player.playing) player.advance(seconds * STEPS_PER_SECOND * Number(speed.value));
    }
    requestAnimationFrame(tick);
  }

  const playAll = document.getElementById("play-all");
  if (playAll) {
    playAll.addEventListener("click", () => {
      const start = !players.some((player) => player.playing);
      for (const player of players) player.setPlaying(start);
      playAll.textContent = start ? "Pause all" : "Play all";
    });
    addEventListener("resize", () => players.forEach((player) => player.draw()));
    requestAnimationFrame(tick);
  }
  document.getElementById("theme").addEventListener("click", () =>
    setTheme(theme === "dark" ? "light" : "dark"));
  setTheme(theme);

  // Rollouts start to play when they come into view, unless the reader asked for little motion.
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches && "IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        players[Number(entry.target.dataset.player)].setPlaying(true);
        playAll.textContent = "Pause all";
      }
    }, { threshold: 0.6 });
    for (const player of players) observer.observe(player.element);
  }
})();
