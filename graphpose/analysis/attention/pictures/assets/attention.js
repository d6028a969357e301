// Lets one look around in a record: data.attention, see page_data.py. What is chosen is kept in `now`; everything is drawn from it.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const a = data.attention;
  if (!a || !a.modules.length) return;
  const night = window.matchMedia("(prefers-color-scheme: dark)");
  const colours = () => (night.matches ? data.dark : data.light);
  const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  const CLEAR = "rgba(0,0,0,0)";
  const SIDES = ["left", "right", "middle"];
  const { bounds, widths, opacities } = a.classes;
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const TINTS = ["curve2", "curve3", "curve4", "curve5", "middle"]; // neither the blue of left nor the orange of right
  const J = a.joints.length, MANY = 48, ALL = -1;
  const id = (name) => document.getElementById(name);
  const safe = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const names = a.joints.map(safe);
  const percent = (w) => (100 * w).toFixed(w < 0.00995 ? 2 : w < 0.0995 ? 1 : 0) + " %";

  // ---- weights --------------------------------------------------------------------------------------------------------------
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const weight = (q, scale) => (q / 255) * (q / 255) * scale;
  const unpacked = new Map();
  function unpack(one, keys) {
    if (!unpacked.has(one)) {
      const raw = one.keys === undefined ? null : bytes(one.keys);
      unpacked.set(one, { q: bytes(one.weights), keys: raw && keys > 256 ? new Uint16Array(raw.buffer) : raw });
    }
    return unpacked.get(one);
  }
  // [{key, w}] of one row, any order; null where nothing was recorded
  function row(module, win, place, head, query) {
    const one = module.windows[win];
    const [R, H, N] = one.shape;
    if (place < 0 || place >= R || query < 0 || query >= N) return null;
    const { q, keys } = unpack(one, module.keys);
    const width = one.top || module.keys;
    const start = ((place * H + head) * N + query) * width;
    const found = [];
    for (let k = 0; k < width; k++) found.push({ key: keys ? keys[start + k] : k, w: weight(q[start + k], one.scales[head]) });
    return found;
  }
  const placeOf = (one, value) => (one.places[0] === null ? 0 : one.places.indexOf(value));

  // ---- what is chosen -------------------------------------------------------------------------------------------------------
  const axes = [...new Set(a.modules.map((m) => m.axis))];
  const start = a.joints.findIndex((name) => /wrist|hand|paw/i.test(name));
  const now = { axis: axes.includes("joints") ? "joints" : axes[0], module: 0, head: 0, joint: start < 0 ? J - 1 : start, win: 0, frame: 0 };
  const selects = { axis: id("axis"), module: id("layer"), head: id("head"), joint: id("joint"), win: id("window") };
  const flat = id("look-flat"), space = id("look-space"), bars = id("look-bars"), over = id("look-over"), map = id("look-map");
  const slider = id("look-time"), button = id("look-play"), speed = id("look-speed"), status = id("look-status"), truth = id("look-truth");
  const module = () => a.modules[now.module];
  const win = () => a.windows[now.win];
  const real = () => win().frames[now.frame];
  const ofAxis = () => a.modules.map((m, k) => [m, k]).filter(([m]) => m.axis === now.axis);

  function fill(select, rows, value) {
    select.replaceChildren(...rows.map(([v, text]) => Object.assign(document.createElement("option"), { value: String(v), textContent: text })));
    select.value = String(value);
  }
  function choices() {
    fill(selects.axis, axes.map((axis) => [axis, axis]), now.axis);
    fill(selects.module, ofAxis().map(([m, k]) => [k, m.label]), now.module);
    const heads = module().heads.map((h, k) => [k, String(h)]);
    fill(selects.head, [...heads, [module().heads.length, "mean of the heads"]], now.head);
    const all = now.axis === "joints" ? [[ALL, "all (strongest edges)"]] : [];
    fill(selects.joint, [...all, ...a.joints.map((name, k) => [k, name])], now.joint);
    if (selects.win) fill(selects.win, a.windows.map((w, k) => [k, w.name]), now.win);
    slider.max = String(win().frames.length - 1);
    slider.closest(".controls").hidden = win().frames.length < 2;
  }
  function choose(change) {
    Object.assign(now, change);
    if (change.axis !== undefined) now.module = (ofAxis().find(([m]) => m.layer === a.modules[now.module].layer) || ofAxis()[0])[1];
    if (now.axis === "frames" && now.joint === ALL) now.joint = start < 0 ? J - 1 : start;
    now.head = Math.min(now.head, module().heads.length);
    now.frame = Math.min(now.frame, win().frames.length - 1);
    choices();
    if (change.axis !== undefined) grid();
    drawAll();
  }

  // ---- attention of the frame that is shown ---------------------------------------------------------------------------------
  // {edges: [{query, key, w}], row: [{key, w}] or null, missing: text}
  function attention(frame = real()) {
    const m = module(), one = m.windows[now.win];
    const found = { edges: [], row: null, missing: "" };
    if (now.axis === "frames") {
      const place = placeOf(one, now.joint), query = one.queries.indexOf(frame);
      found.row = row(m, now.win, place, now.head, query);
      if (place < 0) found.missing = "this joint was not recorded";
      else if (query < 0) found.missing = "this frame was pruned before this layer: it has no attention here";
      return found;
    }
    const place = placeOf(one, frame);
    if (place < 0) return Object.assign(found, { missing: "this frame was pruned before this layer, or not recorded" });
    const queries = now.joint === ALL ? a.joints.map((_, j) => j) : [now.joint];
    const received = new Float64Array(J);
    for (const query of queries) {
      const values = row(m, now.win, place, now.head, query) || [];
      if (now.joint !== ALL) found.row = values;
      for (const { key, w } of values) {
        received[key] += w / queries.length;
        if (key !== query && w > 0) found.edges.push({ query, key, w });
      }
    }
    found.edges.sort((x, y) => y.w - x.w);
    found.edges.length = Math.min(found.edges.length, now.joint === ALL ? J : 6);
    if (now.joint === ALL) found.row = [...received].map((w, key) => ({ key, w }));
    return found;
  }
  function classOf(w, keys) {
    let k = 0;
    while (k < bounds.length && w * keys >= bounds[k]) k++;
    return k;
  }

  // ---- poses ----------------------------------------------------------------------------------------------------------------
  function points(values, width, scale, frame) {
    return (joint, k) => {
      const v = values[(frame * J + joint) * width + k];
      return v === null || v === undefined ? null : v * scale;
    };
  }
  const bones = { all: [] };
  for (const side of SIDES) bones[side] = [];
  a.parents.forEach((parent, joint) => {
    if (parent < 0) return;
    bones.all.push([parent, joint]);
    bones[a.sides[joint]].push([parent, joint]);
  });
  function trace(width, pairs, point, line, opacity) {
    const set = [[], [], []];
    for (const [p, q] of pairs) {
      const broken = point(p, 0) === null || point(q, 0) === null;
      for (let k = 0; k < width; k++) set[k].push(broken ? null : point(p, k), broken ? null : point(q, k), null);
    }
    const out = { type: width === 3 ? "scatter3d" : "scatter", mode: "lines", x: set[0], y: set[1], line, opacity, hoverinfo: "skip", connectgaps: false };
    return width === 3 ? Object.assign(out, { z: set[2] }) : out;
  }
  function marks(width, list, text, marker) {
    const out = {
      type: width === 3 ? "scatter3d" : "scatter", mode: "markers", text, marker, hoverinfo: "text",
      x: list.map((p) => p[0]), y: list.map((p) => p[1]),
    };
    return width === 3 ? Object.assign(out, { z: list.map((p) => p[2]) }) : out;
  }
  function traces(width, seen) {
    const c = colours(), w = win(), deep = width === 3;
    const [values, scale] = deep ? [w.predicted, w.scale3] : [w.keypoints, w.scale2];
    const point = points(values, width, scale, now.frame);
    const fine = J > MANY ? 0.5 : 1, out = [];
    if (deep && w.target) {
      const visible = !truth || truth.checked;
      out.push(Object.assign(trace(3, bones.all, points(w.target, 3, scale, now.frame), { color: c.truth, width: 4 * fine }, 0.8), { visible }));
    }
    for (const side of SIDES) out.push(trace(width, bones[side], point, { color: c[side], width: (deep ? 6 : 3) * fine }, 0.7));
    const known = a.joints.map((_, j) => [...Array(width).keys()].map((k) => point(j, k)));
    const shares = new Map((seen.row || []).map(({ key, w: share }) => [key, share]));
    if (now.axis === "joints") {
      const thin = now.joint === ALL || J > MANY ? 0.65 : 1;
      widths.forEach((wide, k) => {
        const pairs = seen.edges.filter((e) => classOf(e.w, J) === k).map((e) => [e.query, e.key]);
        out.push(trace(width, pairs, point, { color: c.curve2, width: wide * thin * (deep ? 1.7 : 1.1) }, opacities[k]));
      });
    } else {
      const frames = module().windows[now.win].keyFrames || [];
      const path = (seen.row || []).map(({ key, w: share }) => ({ at: w.frames.indexOf(frames[key]), frame: frames[key], share })).filter((p) => p.at >= 0);
      const place = path.map((p) => { const at = points(values, width, scale, p.at); return [...Array(width).keys()].map((k) => at(now.joint, k)); });
      const size = path.map((p) => Math.min(deep ? 22 : 26, (deep ? 4 : 6) * Math.sqrt(p.share * module().keys)));
      out.push(marks(width, place, path.map((p) => "frame " + p.frame + ": " + percent(p.share)), { color: c.curve2, size, opacity: 0.75, line: { width: 0 } }));
    }
    const size = (deep ? 3.5 : 6) * (J > MANY ? 0.65 : 1);
    const text = names.map((name, j) => (now.axis === "joints" && shares.has(j) ? name + ": " + percent(shares.get(j)) : name));
    out.push(Object.assign(marks(width, known, text, {
      color: a.sides.map((side, j) => (j === now.joint ? c.curve2 : c[side])), size: a.joints.map((_, j) => (j === now.joint ? 2.3 * size : size)),
      line: { color: c.card, width: deep ? 0 : 1 },
    }), { meta: "joints" }));
    return out;
  }
  function layout(extra) {
    const c = colours();
    return Object.assign({
      paper_bgcolor: CLEAR, plot_bgcolor: CLEAR, showlegend: false, dragmode: false, uirevision: "keep",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: c.text },
      hoverlabel: { bgcolor: c.card, bordercolor: c.border, font: { color: c.text, size: 13 } }, margin: { l: 8, r: 8, t: 8, b: 8 },
    }, extra);
  }
  function scene() {
    const c = colours(), w = win(), [low, high] = w.range3;
    const span = low.map((v, k) => high[k] - v), most = Math.max(...span);
    const axis = (k) => ({
      range: [low[k], high[k]], dtick: w.tick, tick0: 0, gridcolor: c.grid, zeroline: false, showline: false, showspikes: false,
      showticklabels: false, title: { text: "" }, backgroundcolor: c.background, showbackground: k === 2,
    });
    return {
      xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: "manual", uirevision: "keep",
      aspectratio: { x: (1.25 * span[0]) / most, y: (1.25 * span[1]) / most, z: (1.25 * span[2]) / most },
      camera: { eye: { x: 0.72, y: -1.46, z: 0.4 }, up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: -0.05 } },
    };
  }
  function drawPoses(seen) {
    const c = colours(), w = win(), hidden = { visible: false, fixedrange: true }, margin = { l: 0, r: 0, t: 0, b: 0 };
    if (w.keypoints) {
      const [low, high] = w.range2;
      Plotly.react(flat, traces(2, seen), layout({
        plot_bgcolor: c.background, margin, hovermode: "closest", xaxis: Object.assign({ range: [low[0], high[0]] }, hidden),
        yaxis: Object.assign({ range: [high[1], low[1]], scaleanchor: "x" }, hidden),
      }), CONFIG);
    }
    if (w.predicted) Plotly.react(space, traces(3, seen), layout({ scene: scene(), dragmode: "orbit", margin }), CONFIG);
  }

  // ---- beside and below: what is looked at, and how that changes --------------------------------------------------------------
  const quiet = () => ({ gridcolor: colours().grid, linecolor: colours().border, zeroline: false, fixedrange: true, automargin: true });
  function label(key) {
    if (now.axis === "joints") return names[key];
    const frame = module().windows[now.win].keyFrames[key], offset = frame - real();
    return "frame " + frame + (offset ? " (" + (offset > 0 ? "+" : "\u2212") + Math.abs(offset) + ")" : " (itself)");
  }
  function drawBars(seen) {
    const c = colours();
    const best = (seen.row || []).slice().sort((x, y) => y.w - x.w).slice(0, 12).reverse();
    const tint = ({ key }) => (now.axis === "joints" ? c[a.sides[key]] : c.curve2);
    Plotly.react(bars, [{
      type: "bar", orientation: "h", x: best.map((b) => 100 * b.w), y: best.map((b) => label(b.key) + "  " + percent(b.w)), marker: { color: best.map(tint), opacity: 0.85 }, hoverinfo: "skip",
    }], layout({
      margin: { l: 8, r: 8, t: 4, b: 8 }, bargap: 0.35,
      xaxis: Object.assign(quiet(), { range: [0, Math.max(100 / module().keys, ...best.map((b) => 100 * b.w))], showticklabels: false, showgrid: false }),
      yaxis: Object.assign(quiet(), { type: "category", tickfont: { size: 12 }, showgrid: false }),
      shapes: [{ type: "line", xref: "x", yref: "paper", x0: 100 / module().keys, x1: 100 / module().keys, y0: 0, y1: 1, line: { color: c.muted, width: 1, dash: "dash" } }],
    }), CONFIG);
    const subject = now.joint === ALL ? "Most looked at, mean of all joints" : a.joints[now.joint] + (now.axis === "joints" ? " looks at" : " looks at itself at");
    id("look-bars-title").textContent = subject + " (dashed: if even)";
  }
  function drawOver(seen) {
    const w = win(), c = colours();
    let series = [], title = "";
    if (now.axis === "frames") {
      const rows = (seen.row || []).slice().sort((x, y) => x.key - y.key), frames = module().windows[now.win].keyFrames;
      title = "Attention of frame " + real() + " on the frames of the window";
      series = [{ type: "bar", x: rows.map((r) => frames[r.key]), y: rows.map((r) => 100 * r.w), marker: { color: c.curve2 }, hovertemplate: "frame %{x}: %{y:.1f} %<extra></extra>" }];
    } else if (now.joint !== ALL && w.frames.length > 1 && module().windows[now.win].places[0] !== null) {
      const total = new Map();
      const rows = w.frames.map((frame) => attention(frame).row);
      for (const r of rows) for (const { key, w: share } of r || []) if (key !== now.joint) total.set(key, (total.get(key) || 0) + share);
      const best = [...total].sort((x, y) => y[1] - x[1]).slice(0, 5).map(([key]) => key);
      title = "What " + a.joints[now.joint] + " looks at most, over time";
      series = best.map((key, k) => ({
        type: "scatter", mode: "lines", name: names[key], x: w.frames,
        y: rows.map((r) => { const hit = (r || []).find((one) => one.key === key); return r ? 100 * (hit ? hit.w : 0) : null; }),
        line: { color: c[TINTS[k]], width: 2, dash: DASHES[k] }, hovertemplate: names[key] + ", frame %{x}: %{y:.1f} %<extra></extra>",
      }));
    }
    over.hidden = !series.length;
    id("look-over-title").textContent = title;
    if (!series.length) return;
    const small = { size: 12, color: c.muted };
    Plotly.react(over, series, layout({
      showlegend: now.axis === "joints", legend: { orientation: "v", x: 1.01, y: 1 }, bargap: 0.15,
      xaxis: Object.assign(quiet(), { title: { text: "frame", standoff: 4, font: small } }),
      yaxis: Object.assign(quiet(), { title: { text: "% of attention", standoff: 6, font: small }, rangemode: "tozero", nticks: 5 }),
      shapes: [{ type: "line", xref: "x", yref: "paper", x0: real(), x1: real(), y0: 0, y1: 1, line: { color: c.muted, width: 2 } }],
    }), CONFIG);
  }
  function report(seen) {
    const w = win(), frame = w.start + real();
    let text = "frame " + frame + ", " + (frame / w.fps).toFixed(2) + " s";
    if (seen.missing) text += ": " + seen.missing;
    else if (now.joint !== ALL && now.axis === "joints" && seen.row) {
      const self = seen.row.find((r) => r.key === now.joint);
      text += ": " + (self ? percent(self.w) : "little") + " of its attention is on itself";
    }
    status.textContent = text;
  }

  // ---- all heads, and the map of one ------------------------------------------------------------------------------------------
  const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
  function shade(share) {
    const at = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1), k = Math.min(VIRIDIS.length - 2, Math.floor(at));
    return VIRIDIS[k].map((v, i) => Math.round(v + (VIRIDIS[k + 1][i] - v) * (at - k)));
  }
  // the map of a head, joints limb by limb: {n, m, at(i, j), top: largest off the diagonal}
  function mapOf(m, head) {
    const [n, k] = m.map.shape, { q } = unpack(m.map, m.keys);
    const order = m.axis === "joints" ? a.order : null;
    const at = (i, j) => weight(q[(head * n + (order ? order[i] : i)) * k + (order ? order[j] : j)], m.map.scales[head]);
    let top = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < k; j++) if (i !== j || n === 1) top = Math.max(top, at(i, j));
    return { n, m: k, at, top: top || 1 };
  }
  function paint(canvas, m, head) {
    const one = mapOf(m, head), context = canvas.getContext("2d");
    Object.assign(canvas, { width: one.m, height: one.n });
    const image = context.createImageData(one.m, one.n);
    for (let i = 0; i < one.n; i++) for (let j = 0; j < one.m; j++) image.data.set([...shade(one.at(i, j) / one.top), 255], 4 * (i * one.m + j));
    context.putImageData(image, 0, 0);
  }
  function grid() {
    const modules = ofAxis(), columns = Math.max(...modules.map(([m]) => m.heads.length));
    const table = document.createElement("table"), head = table.createTHead().insertRow();
    const th = (text) => Object.assign(document.createElement("th"), { textContent: text });
    head.append(th(""), ...[...Array(columns).keys()].map((k) => th("head " + (modules[0][0].heads[k] ?? k))), th("mean"));
    const body = table.createTBody();
    for (const [m, number] of modules) {
      const line = body.insertRow();
      line.append(th("layer " + m.label));
      for (let k = 0; k <= columns; k++) {
        const cell = line.insertCell();
        const which = k === columns ? m.heads.length : k;
        if (k < columns && k >= m.heads.length) continue;
        const press = Object.assign(document.createElement("button"), { type: "button" });
        press.setAttribute("aria-label", "layer " + m.label + (which === m.heads.length ? ", mean of the heads" : ", head " + m.heads[which]));
        press.dataset.module = String(number);
        press.dataset.head = String(which);
        const canvas = document.createElement("canvas");
        paint(canvas, m, which);
        press.append(canvas);
        press.addEventListener("click", () => choose({ module: number, head: which }));
        cell.append(press);
      }
    }
    id("look-heads").replaceChildren(table);
  }
  function drawMap() {
    const m = module(), one = mapOf(m, now.head), c = colours();
    for (const press of id("look-heads").querySelectorAll("button")) {
      press.setAttribute("aria-pressed", String(Number(press.dataset.module) === now.module && Number(press.dataset.head) === now.head));
    }
    const joints = m.axis === "joints";
    const rows = joints ? a.order.map((j) => names[j]) : [...Array(one.n).keys()].map(String);
    const columns = joints ? rows : [...Array(one.m).keys()].map(String);
    const z = [...Array(one.n).keys()].map((i) => [...Array(one.m).keys()].map((j) => 100 * one.at(i, j)));
    const every = Math.ceil(J / 40), tick = { size: J > 24 ? 8 : 10.5 };
    const axis = (list) => Object.assign(quiet(), {
      showgrid: false, tickfont: tick, tickmode: joints ? "array" : "auto",
      ...(joints ? { tickvals: list.map((_, k) => k).filter((k) => k % every === 0), ticktext: list.filter((_, k) => k % every === 0) } : {}),
    });
    const chosen = joints && now.joint !== ALL ? a.order.indexOf(now.joint) : -1;
    Plotly.react(map, [{
      type: "heatmap", z, text: z.map((_, i) => columns.map((name, j) => rows[i] + " looks at " + name)), colorscale: "Viridis", zmin: 0, zmax: 100 * one.top,
      hovertemplate: "%{text}: %{z:.1f} %<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, title: { text: "%", side: "top" }, tickfont: { size: 11 } },
    }], layout({
      margin: { l: 8, r: 8, t: 8, b: 8 },
      xaxis: Object.assign(axis(columns), { tickangle: joints ? -90 : 0, title: { text: joints ? "is looked at" : "frame that is looked at", standoff: 6, font: { size: 12, color: c.muted } } }),
      yaxis: Object.assign(axis(rows), { autorange: "reversed", title: { text: joints ? "looks" : "frame that looks", standoff: 6, font: { size: 12, color: c.muted } } }),
      shapes: chosen < 0 ? [] : [["black", 4], ["white", 2]].map(([color, width]) => ({ type: "rect", x0: -0.5, x1: one.m - 0.5, y0: chosen - 0.5, y1: chosen + 0.5, line: { color, width } })),
    }), CONFIG);
    const which = now.head === m.heads.length ? "mean of the heads" : "head " + m.heads[now.head];
    id("look-map-title").textContent = "Layer " + m.label + ", over " + m.axis + ", " + which + ": mean of the windows";
  }

  // ---- all of it --------------------------------------------------------------------------------------------------------------
  function drawFrame() {
    const seen = attention();
    slider.value = String(now.frame);
    drawPoses(seen);
    drawBars(seen);
    drawOver(seen);
    report(seen);
  }
  function drawAll() { drawFrame(); drawMap(); }
  let timer = null;
  function pause() {
    if (timer !== null) cancelAnimationFrame(timer);
    timer = null;
    button.textContent = "Play";
  }
  function play() {
    button.textContent = "Pause";
    const w = win(), step = w.frames[1] - w.frames[0];
    let clip = now.frame === w.frames.length - 1 ? 0 : w.frames[now.frame] / w.fps, last = null;
    const length = (w.frames[w.frames.length - 1] + step) / w.fps;
    const tick = (time) => {
      if (last !== null) clip += ((time - last) / 1000) * Number(speed.value);
      last = time;
      if (clip >= length) clip %= length;
      const frame = Math.min(w.frames.length - 1, Math.floor((clip * w.fps) / step + 1e-6));
      if (frame !== now.frame) { now.frame = frame; drawFrame(); }
      timer = requestAnimationFrame(tick);
    };
    timer = requestAnimationFrame(tick);
  }
  selects.axis.addEventListener("change", () => choose({ axis: selects.axis.value }));
  for (const name of ["module", "head", "joint"]) selects[name].addEventListener("change", () => choose({ [name]: Number(selects[name].value) }));
  if (selects.win) selects.win.addEventListener("change", () => { pause(); choose({ win: Number(selects.win.value) }); });
  slider.addEventListener("input", () => { pause(); now.frame = Number(slider.value); drawFrame(); });
  button.addEventListener("click", () => (timer === null ? play() : pause()));
  if (truth) truth.addEventListener("change", drawFrame);
  choices();
  grid();
  drawAll();
  // a click on a joint, in a pose or in a row of the map, chooses it
  const hit = (event) => { if (event.points[0].data.meta === "joints") choose({ joint: event.points[0].pointNumber }); };
  if (win().keypoints) flat.on("plotly_click", hit);
  if (win().predicted) space.on("plotly_click", hit);
  map.on("plotly_click", (event) => { if (now.axis === "joints") choose({ joint: a.order[event.points[0].pointIndex[0]] }); });
  night.addEventListener("change", drawAll);
  document.documentElement.dataset.attention = "ready";
})();
