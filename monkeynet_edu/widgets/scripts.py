"""Scripts and style sheet of the live views, as text: they travel in the notebook's messages, no build.

Everything that takes the focus carries `data-lm-suppress-shortcuts`: without it JupyterLab would keep arrow keys, digits
and Z. It has to stand on the element itself: JupyterLab asks the innermost one first.
"""

from __future__ import annotations

STYLE = """
.mk { font-family: var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, #222); max-width: 760px;
  border: 1px solid var(--jp-border-color1, #bbb); border-radius: 8px; padding: 10px 14px; margin: 4px 0; }
.mk h4 { margin: 0 0 4px; font-size: 15px; }
.mk p { margin: 4px 0; font-size: 13px; line-height: 1.4; }
.mk-row { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
.mk-tools { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 8px 0 4px; font-size: 13px; }
.mk-tools label { display: inline-flex; gap: 6px; align-items: center; }
.mk-tools input[type=range] { width: 260px; }
.mk button.mk-act { font: inherit; font-size: 13px; min-height: 30px;
  padding: 3px 12px; border-radius: 6px; cursor: pointer;
  border: 1px solid #767676; background: var(--jp-layout-color2, #f3f3f3); color: inherit; }
.mk button.mk-act[aria-pressed=true] { background: #b3261e; border-color: #b3261e; color: #fff; }
.mk button.mk-act:disabled { opacity: .5; cursor: default; }
.mk *:focus-visible { outline: 3px solid #1a73e8; outline-offset: 2px; }
.mk figure { margin: 0; }
.mk figcaption { font-size: 12px; margin-top: 4px; text-align: center; }
.mk img { max-width: 100%; }
.mk-stage { position: relative; touch-action: none; }
.mk-stage canvas { display: block; border-radius: 4px; }
.mk-point { position: absolute; width: 24px; height: 24px; margin: -12px 0 0 -12px; padding: 0;
  border-radius: 50% !important;
  border: 2px solid #111; font: bold 12px/20px sans-serif; text-align: center; cursor: grab; touch-action: none;
  box-shadow: 0 0 0 1.5px #fff; opacity: .85; }
.mk-point:focus, .mk-point:hover { opacity: 1; z-index: 3; }
.mk-point:focus { outline: 3px solid #1a73e8; outline-offset: 3px; }
.mk-stage.mk-busy .mk-point { opacity: .25; }
.mk-stage.mk-busy .mk-point:focus { opacity: 1; cursor: grabbing; }
.mk-stage.mk-bare .mk-point { opacity: 0; }
.mk-stage.mk-bare .mk-point:focus { opacity: .5; }
.mk-home { position: absolute; width: 10px; height: 10px; margin: -5px 0 0 -5px; border-radius: 50%;
  border: 1.5px solid #111; box-shadow: 0 0 0 1px #fff; }
.mk-error { color: #b3261e; font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
.mk-words { margin: 4px 0; padding-left: 18px; font-size: 13px; }
.mk-status { min-height: 1.4em; }
"""

_COMMON = """
function make(tag, attributes = {}, parent = null, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (["button", "input", "select"].includes(tag)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
function frameOf(model, el) {
  const root = make("section", { class: "mk", "aria-label": model.get("title") }, el);
  make("h4", {}, root, model.get("title"));
  make("p", {}, root, model.get("hint"));
  return root;
}
function errorOf(model, root) {
  const node = make("p", { class: "mk-error", role: "alert" }, root);
  const show = () => { node.textContent = model.get("error") ? "Something went wrong: " + model.get("error") : ""; };
  model.on("change:error", show);
  show();
}
"""

PANEL_SCRIPT = (
    _COMMON
    + """
function playButton(tools, control, input, step) {
  const button = make("button", { class: "mk-act", type: "button" }, tools, "Play");
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.onclick = () => {
    if (timer) return stop();
    if (Number(input.value) >= control.high) { input.value = control.low; step(); }
    button.textContent = "Pause";
    timer = setInterval(() => {
      if (button.dataset.waiting && Date.now() - Number(button.dataset.waiting) < 1000) return;
      if (!input.isConnected || Number(input.value) >= control.high) return stop();
      button.dataset.waiting = Date.now();
      input.value = Number(input.value) + control.step;
      step();
    }, 1000 / control.fps);
  };
  return { button, stop };
}
function build(model, tools, control) {
  const send = (value) => {
    model.set("values", { ...model.get("values"), [control.name]: value });
    model.save_changes();
  };
  if (control.kind === "button") {
    const button = make("button", { class: "mk-act", type: "button", "data-name": control.name }, tools, control.label);
    button.onclick = () => send((model.get("values")[control.name] || 0) + 1);
    return { node: button, show() {} };
  }
  const label = make("label", {}, tools);
  const name = make("span", {}, label, control.label);
  if (control.kind === "choice") {
    const select = make("select", { "data-name": control.name }, label);
    for (const option of control.options) make("option", { value: option }, select, option);
    select.onchange = () => send(select.value);
    return { node: select, show: (value) => { select.value = value; } };
  }
  const type = { check: "checkbox", range: "range", color: "color", text: "text" }[control.kind];
  const input = make("input", { type, "data-name": control.name }, label);
  if (type === "checkbox") {
    label.prepend(input);
    input.onchange = () => send(input.checked);
    return { node: input, show: (value) => { input.checked = value; } };
  }
  if (type !== "range") {
    input.oninput = () => send(input.value);
    return { node: input, show: (value) => { if (input.value !== value) input.value = value; } };
  }
  Object.assign(input, { min: control.low, max: control.high, step: control.step });
  const shown = make("span", { "aria-hidden": "true" }, label); // spoken by the slider itself
  const say = () => {
    const text = control.said.length ? control.said[Number(input.value) - control.low] : input.value;
    shown.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  const step = () => { say(); send(Number(input.value)); };
  let player = null;
  input.oninput = () => { if (player) player.stop(); step(); };
  if (control.fps > 0) {
    player = playButton(tools, control, input, step);
    model.on("change:image", () => { delete player.button.dataset.waiting; });
  }
  return { node: input, show: (value) => { input.value = value; say(); } };
}
function render({ model, el }) {
  const root = frameOf(model, el);
  const image = make("img", {}, make("figure", {}, root));
  const tools = make("div", { class: "mk-tools", role: "group", "aria-label": "Controls" }, root);
  // Below the picture, except where there is nothing but buttons: a picture that grows would move them away.
  if (model.get("controls").every((control) => control.kind === "button")) root.insertBefore(tools, image.parentNode);
  const parts = Object.fromEntries(model.get("controls").map((c) => [c.name, build(model, tools, c)]));
  const status = make("p", { class: "mk-status", role: "status" }, root);
  const words = make("ul", { class: "mk-words", "aria-live": "polite" }, root);
  let url = "";
  const showValues = () => {
    for (const [name, value] of Object.entries(model.get("values"))) {
      if (parts[name]) parts[name].show(value);
    }
  };
  const showDisabled = () => {
    for (const [name, part] of Object.entries(parts)) part.node.disabled = model.get("disabled").includes(name);
  };
  const showImage = () => {
    if (!model.get("image").byteLength) return;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(new Blob([model.get("image")], { type: "image/png" }));
    image.src = url;
    image.alt = model.get("alt");
  };
  const showStatus = () => { status.textContent = model.get("status"); };
  const showWords = () => words.replaceChildren(...model.get("words").map((text) => make("li", {}, null, text)));
  const all = { values: showValues, disabled: showDisabled, image: showImage, alt: showImage, status: showStatus,
    words: showWords };
  for (const [name, show] of Object.entries(all)) { model.on("change:" + name, show); show(); }
  errorOf(model, root);
  return () => {
    for (const [name, show] of Object.entries(all)) model.off("change:" + name, show);
    if (url) URL.revokeObjectURL(url);
  };
}
export default { render };
"""
)

PUPPET_SCRIPT = (
    _COMMON
    + """
const SIDE = 320, STEP = 0.06, FINE = 0.015, LONGEST = 150;
const clamp = (v) => Math.max(-1, Math.min(1, v));
function toPixels(model, point) {
  const [w, h] = [model.get("width"), model.get("height")];
  const scale = SIDE / w;
  return [((point[0] + 1) / 2 * (w - 1) + 0.5) * scale, ((point[1] + 1) / 2 * (h - 1) + 0.5) * scale];
}
function toPoint(model, x, y) {
  const [w, h] = [model.get("width"), model.get("height")];
  const scale = SIDE / w;
  return [clamp((x / scale - 0.5) / (w - 1) * 2 - 1), clamp((y / scale - 0.5) / (h - 1) * 2 - 1)];
}
function screen(model, row, caption, label) {
  const figure = make("figure", {}, row);
  const stage = make("div", { class: "mk-stage" }, figure);
  const canvas = make("canvas", { role: "img", "aria-label": label }, stage);
  const [w, h] = [model.get("width"), model.get("height")];
  canvas.width = w; canvas.height = h; // the style sheet enlarges it: cheaper than drawing it large
  canvas.style.width = SIDE + "px"; canvas.style.height = SIDE * h / w + "px";
  make("figcaption", {}, figure, caption);
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(w, h);
  const draw = (bytes, offset = 0) => {
    if (!bytes || bytes.byteLength < offset + w * h * 3) return;
    const rgb = new Uint8Array(bytes.buffer, bytes.byteOffset + offset, w * h * 3);
    for (let i = 0, j = 0; i < w * h; i++) {
      pixels.data[4 * i] = rgb[j++]; pixels.data[4 * i + 1] = rgb[j++]; pixels.data[4 * i + 2] = rgb[j++];
      pixels.data[4 * i + 3] = 255;
    }
    pen.putImageData(pixels, 0, 0);
  };
  return { stage, canvas, draw };
}
function render({ model, el }) {
  const root = frameOf(model, el);
  const row = make("div", { class: "mk-row" }, root);
  const main = screen(model, row, "What the model draws: drag the points", "Generated picture");
  const still = screen(model, row, "The one picture that it was given", "Source picture with its keypoints");
  const tools = make("div", { class: "mk-tools", role: "toolbar", "aria-label": "Puppet" }, root);
  const act = (text, run) => {
    const button = make("button", { class: "mk-act", type: "button" }, tools, text);
    button.onclick = run;
    return button;
  };
  const status = make("p", { class: "mk-status", role: "status" }, root);
  errorOf(model, root);
  const say = (text) => { status.textContent = text; };

  // ---- points: the model's list is the truth; the handles follow it
  const count = model.get("home").length / 2;
  const point = (k) => model.get("points").slice(2 * k, 2 * k + 2);
  const past = [];
  let lastKey = { k: -1, time: 0 };
  const remember = () => { past.push(model.get("points").slice()); if (past.length > 200) past.shift(); };
  const put = (points) => { model.set("points", points); model.save_changes(); place(); };
  const move = (k, x, y) => {
    stopPlaying();
    const points = model.get("points").slice();
    points[2 * k] = clamp(x); points[2 * k + 1] = clamp(y);
    put(points);
  };
  const words = (k) => `keypoint ${k} at x ${point(k)[0].toFixed(2)}, y ${point(k)[1].toFixed(2)}`;
  const handles = [];
  const place = () => handles.forEach((handle, k) => {
    const [x, y] = toPixels(model, point(k));
    handle.style.left = x + "px"; handle.style.top = y + "px";
    handle.setAttribute("aria-label", words(k) + "; arrow keys move it");
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (let k = 0; k < count; k++) {
    const color = model.get("colors")[k];
    const handle = make("button", { class: "mk-point", type: "button", "data-point": k,
      "aria-roledescription": "keypoint" }, main.stage, String(k));
    handle.style.background = color;
    const level = parseInt(color.slice(1, 3), 16) * 3 + parseInt(color.slice(3, 5), 16) * 6 + parseInt(color.slice(5), 16);
    handle.style.color = level > 1275 ? "#000" : "#fff";
    handle.onfocus = () => say(words(k));
    handle.onkeydown = (event) => {
      const way = arrows[event.key];
      if (!way) return;
      event.preventDefault();
      const now = Date.now();
      if (lastKey.k !== k || now - lastKey.time > 1000) remember();
      lastKey = { k, time: now };
      const size = event.shiftKey ? FINE : STEP;
      const [x, y] = point(k);
      move(k, x + size * way[0], y + size * way[1]);
      say(words(k));
    };
    handles.push(handle);
    const [x, y] = toPixels(model, model.get("home").slice(2 * k, 2 * k + 2));
    const mark = make("span", { class: "mk-home", "aria-hidden": "true" }, still.stage);
    Object.assign(mark.style, { left: x + "px", top: y + "px", background: color });
  }

  // ---- mouse and touch: wherever it is pressed, the nearest point comes along
  let held = null;
  const at = (event) => {
    const box = main.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  main.stage.onpointerdown = (event) => {
    const [x, y] = at(event);
    const own = event.target.dataset.point;
    const far = (k) => { const [u, v] = toPixels(model, point(k)); return Math.hypot(u - x, v - y); };
    const all = handles.map((_, k) => k).sort((a, b) => far(a) - far(b));
    const k = own === undefined ? all[0] : Number(own);
    if (own === undefined && far(k) > 40) return;
    event.preventDefault();
    const [u, v] = toPixels(model, point(k));
    held = { k, dx: u - x, dy: v - y };
    remember();
    main.stage.setPointerCapture(event.pointerId);
    main.stage.classList.add("mk-busy");
    handles[k].focus();
  };
  main.stage.onpointermove = (event) => {
    if (!held) return;
    const [x, y] = at(event);
    move(held.k, ...toPoint(model, x + held.dx, y + held.dy));
  };
  main.stage.onpointerup = main.stage.onpointercancel = () => {
    if (held) say(words(held.k));
    held = null;
    main.stage.classList.remove("mk-busy");
  };
  const undo = () => { if (past.length) { stopPlaying(); put(past.pop()); say("Undone."); } else say("Nothing to undo."); };
  root.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { event.preventDefault(); undo(); }
    else if (/^[0-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey && handles[event.key]) {
      handles[event.key].focus();
    }
  });
  act("Undo", undo);
  act("Reset", () => { remember(); stopPlaying(); put(model.get("home").slice()); say("All points are back."); });

  // ---- a recorded path is the driving motion
  let tape = null, clock = null, player = null, shown = 0;
  const frames = () => Math.floor(model.get("clip").byteLength / (model.get("width") * model.get("height") * 3));
  const endTape = () => {
    clearInterval(clock);
    record.textContent = "Record"; record.setAttribute("aria-pressed", "false");
    say(`Recorded ${tape.length} frames; the model is drawing them.`);
    model.set("path", tape.flat()); model.save_changes();
    tape = null;
  };
  const record = act("Record", () => {
    if (tape) return endTape();
    stopPlaying();
    tape = [];
    record.textContent = "Stop recording"; record.setAttribute("aria-pressed", "true");
    say("Recording: move the points.");
    clock = setInterval(() => {
      tape.push(model.get("points").slice());
      if (tape.length >= LONGEST || !root.isConnected) endTape();
    }, 1000 / model.get("fps"));
  });
  record.setAttribute("aria-pressed", "false");
  const stopPlaying = () => {
    if (!player) return;
    clearInterval(player); player = null; play.textContent = "Play"; main.draw(model.get("frame"));
  };
  const play = act("Play", () => {
    if (player) return stopPlaying();
    play.textContent = "Pause";
    const size = model.get("width") * model.get("height") * 3;
    player = setInterval(() => {
      if (!root.isConnected) return stopPlaying();
      shown = (shown + 1) % frames();
      main.draw(model.get("clip"), shown * size);
      root.dataset.played = Number(root.dataset.played || 0) + 1;
    }, 1000 / model.get("fps"));
  });
  const offer = () => {
    play.disabled = frames() < 2;
    if (!play.disabled) say(`Your motion has ${frames()} frames. Play shows it.`);
  };
  const hide = make("input", { type: "checkbox" }, make("label", {}, tools));
  hide.parentNode.append("hide the points");
  hide.onchange = () => main.stage.classList.toggle("mk-bare", hide.checked);

  // ---- what comes from the model
  const drawFrame = () => {
    if (player) return;
    main.draw(model.get("frame"));
    root.dataset.frames = Number(root.dataset.frames || 0) + 1;
  };
  const drawSource = () => still.draw(model.get("source"));
  const all = { frame: drawFrame, source: drawSource, points: place, clip: offer };
  for (const [name, show] of Object.entries(all)) { model.on("change:" + name, show); show(); }
  say("");
  return () => {
    for (const [name, show] of Object.entries(all)) model.off("change:" + name, show);
    clearInterval(player); clearInterval(clock);
  };
}
export default { render };
"""
)
