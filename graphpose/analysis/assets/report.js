"use strict";
// Draws the figures of the report and plays its examples. Data: {light, dark: {name: colour}, players: [...], figures: {id: figure}}.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const night = window.matchMedia("(prefers-color-scheme: dark)");
  const colours = () => (night.matches ? data.dark : data.light);
  const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  const CLEAR = "rgba(0,0,0,0)";

  // Figures come in the light colours: each of them stands for its name.
  const nameOf = new Map(Object.entries(data.light).map(([name, colour]) => [colour, name]));
  function themed(value) {
    if (typeof value === "string") return nameOf.has(value) ? colours()[nameOf.get(value)] : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v)]));
    return value;
  }

  function baseLayout(extra) {
    const c = colours();
    return Object.assign({
      paper_bgcolor: CLEAR, plot_bgcolor: CLEAR, showlegend: false, dragmode: false, uirevision: "keep",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: c.text },
      hoverlabel: { bgcolor: c.card, bordercolor: c.border, font: { color: c.text, size: 13 } },
      margin: { l: 8, r: 8, t: 8, b: 8 },
    }, extra);
  }

  function drawFigure(node) {
    const figure = themed(data.figures[node.dataset.figure]);
    Plotly.react(node, figure.data, figure.layout, CONFIG);
  }

  // ---- one example -------------------------------------------------------------------------------------------------------------
  const SIDES = ["left", "right", "middle"];

  function Player(root) {
    const number = root.dataset.example;
    const p = data.players[number];
    const flat = document.getElementById("flat-" + number);
    const space = document.getElementById("space-" + number);
    const time = document.getElementById("time-" + number);
    const button = root.querySelector(".play");
    const slider = root.querySelector("input[type=range]");
    const speed = root.querySelector("select");
    const status = root.querySelector(".status");
    const truth = root.querySelector(".truth");
    const J = p.joints.length;
    const bones = { all: [] };
    for (const side of SIDES) bones[side] = [];
    p.parents.forEach((parent, joint) => {
      if (parent < 0) return;
      bones.all.push([parent, joint]);
      bones[p.sides[joint]].push([parent, joint]);
    });
    let current = 0, timer = null, live = false;

    function at(values, width, scale, frame) {
      return (joint, k) => {
        const v = values[(frame * J + joint) * width + k];
        return v === null ? null : v * scale;
      };
    }
    function bonesOf(pairs, point, k) {
      const line = [];
      for (const [a, b] of pairs) {
        const broken = point(a, 0) === null || point(b, 0) === null;
        line.push(broken ? null : point(a, k), broken ? null : point(b, k), null);
      }
      return line;
    }
    const trueNames = p.joints.map((name) => "true " + safe(name));
    const jointsOf = (point, k) => p.joints.map((_, j) => point(j, k));

    // coordinates of all traces of one view: bones of each side, joints, then (3D) the true bones and joints
    function coordinates(frame, width) {
      const sets = [];
      const [values, scale] = width === 2 ? [p.keypoints, p.scale2] : [p.predicted, p.scale3];
      const point = at(values, width, scale, frame);
      const add = (get) => sets.push([...Array(width).keys()].map(get));
      for (const side of SIDES) add((k) => bonesOf(bones[side], point, k));
      add((k) => jointsOf(point, k));
      if (width === 3 && p.target) {
        const real = at(p.target, 3, p.scale3, frame);
        add((k) => bonesOf(bones.all, real, k));
        add((k) => jointsOf(real, k));
      }
      return sets;
    }
    function labels(frame) {
      return p.joints.map((name, j) => {
        const e = p.error ? p.error[frame * J + j] : null;
        return safe(name) + (e === null ? "" : ": " + e + " mm");
      });
    }
    // Plotly reads a little HTML in labels
    function safe(text) { return text.replace(/&/g, "&amp;").replace(/</g, "&lt;"); }

    function traces(frame, width) {
      const c = colours();
      const type = width === 3 ? "scatter3d" : "scatter";
      const sets = coordinates(frame, width);
      const style = (set, extra) => Object.assign(
        { type, x: set[0], y: set[1], connectgaps: false, hoverinfo: "skip" }, width === 3 ? { z: set[2] } : {}, extra);
      const out = SIDES.map((side, k) => style(sets[k], { mode: "lines", line: { color: c[side], width: width === 3 ? 7 : 3.5 } }));
      out.push(style(sets[3], {
        mode: "markers", hoverinfo: "text", text: labels(frame),
        marker: { color: p.sides.map((s) => c[s]), size: width === 3 ? 3.5 : 6, line: { color: c.card, width: width === 3 ? 0 : 1 } },
      }));
      if (sets.length > 4) {
        const visible = !truth || truth.checked; // solid: WebGL dashes shimmer on short bones
        out.push(style(sets[4], { mode: "lines", visible, line: { color: c.truth, width: 5 } }));
        out.push(style(sets[5], {
          mode: "markers", visible, hoverinfo: "text", text: trueNames, marker: { color: c.truth, size: 2.5 },
        }));
      }
      return out;
    }

    function axes3() {
      const c = colours();
      const [low, high] = p.range3;
      const span = low.map((v, k) => high[k] - v);
      const most = Math.max(...span);
      const axis = (k) => ({
        range: [low[k], high[k]], dtick: p.tick, tick0: 0, gridcolor: c.grid, gridwidth: 1, zeroline: false, showline: false, showspikes: false,
        showticklabels: false, title: { text: "" }, backgroundcolor: c.background, showbackground: k === 2,
      });
      return {
        xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: "manual",
        aspectratio: { x: span[0] / most, y: span[1] / most, z: span[2] / most },
        camera: { eye: { x: 0.72, y: -1.46, z: 0.4 }, up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: -0.1 } },
      };
    }

    function draw() {
      live = true;
      const c = colours();
      const [low, high] = p.range2;
      const hidden = { visible: false, fixedrange: true };
      Plotly.react(flat, traces(current, 2), baseLayout({ plot_bgcolor: c.background, margin: { l: 0, r: 0, t: 0, b: 0 },
        xaxis: Object.assign({ range: [low[0], high[0]] }, hidden),
        yaxis: Object.assign({ range: [high[1], low[1]], scaleanchor: "x" }, hidden),
      }), CONFIG);
      Plotly.react(space, traces(current, 3), baseLayout({ scene: axes3(), dragmode: "orbit", margin: { l: 0, r: 0, t: 0, b: 0 } }), CONFIG);
      if (time) {
        const small = { size: 12, color: c.muted };
        const quiet = { gridcolor: c.grid, linecolor: c.border, zeroline: false, fixedrange: true, automargin: true };
        Plotly.react(time, [{
          x: p.curve.seconds, y: p.curve.mm, mode: "lines", line: { color: c.accent, width: 2 }, hovertemplate: "%{x:.2f} s: %{y:.0f} mm<extra></extra>",
        }], baseLayout({
          xaxis: Object.assign({ title: { text: "seconds", standoff: 4, font: small } }, quiet),
          yaxis: Object.assign({ title: { text: "error (mm)", standoff: 6, font: small }, rangemode: "tozero", nticks: 4 }, quiet),
          shapes: [cursor()],
        }), CONFIG);
        if (!time.dataset.bound) {
          time.dataset.bound = "yes";
          time.on("plotly_click", (event) => { pause(); show(nearest(event.points[0].x)); });
        }
      }
      report();
    }
    function cursor() {
      const seconds = p.frames[current] / p.fps;
      return { type: "line", xref: "x", yref: "paper", x0: seconds, x1: seconds, y0: 0, y1: 1, line: { color: colours().muted, width: 2 } };
    }
    function nearest(seconds) {
      let best = 0;
      p.frames.forEach((f, k) => { if (Math.abs(f / p.fps - seconds) < Math.abs(p.frames[best] / p.fps - seconds)) best = k; });
      return best;
    }
    function report() {
      let text = "frame " + p.frames[current] + ", " + (p.frames[current] / p.fps).toFixed(2) + " s";
      if (p.error) {
        const known = p.error.slice(current * J, (current + 1) * J).filter((e) => e !== null);
        text += known.length ? ", error " + (known.reduce((a, b) => a + b, 0) / known.length).toFixed(0) + " mm" : ", error unknown";
      }
      status.textContent = text;
    }
    function show(frame) {
      current = frame;
      slider.value = String(frame);
      report();
      if (!live) return;
      const named = labels(frame);
      for (const [node, width] of [[flat, 2], [space, 3]]) {
        const sets = coordinates(frame, width);
        const change = { x: sets.map((s) => s[0]), y: sets.map((s) => s[1]) };
        if (width === 3) change.z = sets.map((s) => s[2]);
        // one call for everything: each restyle redraws the whole scene
        change.text = sets.map((_, k) => (k === 3 ? named : k === 5 ? trueNames : ""));
        Plotly.restyle(node, change, sets.map((_, k) => k));
      }
      if (time) Plotly.relayout(time, { shapes: [cursor()] });
    }
    function pause() {
      if (timer !== null) cancelAnimationFrame(timer);
      timer = null;
      button.textContent = "Play";
      button.setAttribute("aria-label", "play");
    }
    function play() {
      button.textContent = "Pause";
      button.setAttribute("aria-label", "pause");
      let shown = current === p.frames.length - 1 ? 0 : current;
      let clip = p.frames[shown] / p.fps, last = null;
      const step = p.frames[1] - p.frames[0];
      const length = (p.frames[p.frames.length - 1] + step) / p.fps;
      const tick = (now) => {
        if (last !== null) clip += ((now - last) / 1000) * Number(speed.value);
        last = now;
        if (clip >= length) clip %= length;
        const frame = Math.min(p.frames.length - 1, Math.floor((clip * p.fps) / step + 1e-6));
        if (frame !== current) show(frame);
        timer = requestAnimationFrame(tick);
      };
      timer = requestAnimationFrame(tick);
    }
    button.addEventListener("click", () => (timer === null ? play() : pause()));
    slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
    if (truth) truth.addEventListener("change", () => { if (live) Plotly.restyle(space, { visible: truth.checked }, [4, 5]); });
    report();
    return {
      draw,
      isLive: () => live,
      // a browser keeps some 16 WebGL views alive: those out of sight give theirs back
      release() { if (live) { pause(); live = false; Plotly.purge(space); } },
    };
  }

  // ---- the page ----------------------------------------------------------------------------------------------------------------
  const figures = [...document.querySelectorAll("[data-figure]")];
  const players = new Map([...document.querySelectorAll("[data-example]")].map((root) => [root, Player(root)]));
  figures.forEach(drawFigure);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const player = players.get(entry.target);
      if (entry.isIntersecting && !player.isLive()) player.draw();
      else if (!entry.isIntersecting) player.release();
    }
  }, { rootMargin: "800px 0px" });
  for (const root of players.keys()) watcher.observe(root);
  night.addEventListener("change", () => {
    figures.forEach(drawFigure);
    for (const player of players.values()) if (player.isLive()) player.draw();
  });
  document.documentElement.dataset.ready = "yes";
})();
