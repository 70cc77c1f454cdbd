"use strict";
(() => {
  const STEPS_PER_SECOND = 2;
  const HOLD_SECONDS = 1.2;
  const root = document.documentElement;
  const { scene, players: rollouts } = JSON.parse(document.getElementById("clips").textContent);

  let theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const players = [];
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const drawings = makeDrawings(scene, style);

  function setTheme(name) {
    theme = name;
    root.dataset.theme = name;
    for (const player of players) player.draw();
  }

  /** Marks the action that comes next, and scrolls no more than the list itself. */
  function markStep(list, frame) {
    const now = list.querySelector(".now");
    const next = list.children[frame];
    if (now === next) return;
    if (now) now.classList.remove("now");
    if (!next) return;
    next.classList.add("now");
    list.scrollTop = next.offsetTop - (list.clientHeight - next.offsetHeight) / 2;
  }

  /** One control over the clips of a comparison. */
  class Player {
    constructor(element, clips) {
      this.element = element;
      this.clips = clips;
      this.figures = [...element.querySelectorAll("figure")].map((figure) => ({
        view: figure.querySelector(".view"),
        steps: figure.querySelector(".steps"),
      }));
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
      this.figures.forEach(({ view, steps }, index) => {
        drawings[this.clips[index].kind](view, this.clips[index], shown);
        if (steps) markStep(steps, frame);
      });
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
