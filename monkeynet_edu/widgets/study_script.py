"""The user study's page, as text: one script for the notebook and for the page of ``study run``.

The three films come as sheets of frames and are drawn on canvases by one clock, so that they run in step, stop together and
need no decoder. Keys belong to the whole study: arrows or 1 and 2 vote, space holds, R starts again.
"""

from __future__ import annotations

from monkeynet_edu.widgets.scripts import STYLE

STUDY_STYLE = """
.mk-study { max-width: 860px; }
.mk-study .mk-films { display: flex; gap: 12px; justify-content: center; margin: 10px 0; }
.mk-study canvas { width: 100%; height: auto; display: block; image-rendering: pixelated; border-radius: 4px;
  background: #ddd; }
.mk-study figure { flex: 0 1 272px; min-width: 0; padding: 6px; border: 2px solid transparent; border-radius: 8px;
  align-self: flex-start; }
.mk-study figure.mk-reference { border-color: #767676; border-style: dashed; }
.mk-study figure button.mk-act { width: 100%; min-height: 44px; margin-top: 8px; font-weight: 600; }
.mk-study progress { width: 100%; height: 8px; }
.mk-study .mk-consent { font-size: 14px; line-height: 1.5; }
"""

PAGE_STYLE = STYLE + STUDY_STYLE + "body { margin: 24px auto; max-width: 900px; padding: 0 12px; background: #fff; }\n"

_CORE = """
const PATIENCE = 4000, AGAIN = 1000;
function put(tag, attributes, parent, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (tag === "button") { node.type = "button"; node.setAttribute("data-lm-suppress-shortcuts", "true"); }
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
// channel: ask(message) -> Promise of an answer; kept() and keep(code): the rater's code over a reload;
// lost: what to say while nobody answers.
function study(el, channel) {
  const root = put("section", { class: "mk mk-study", "aria-label": "User study", tabindex: "-1",
    "data-lm-suppress-shortcuts": "true" }, el);
  const body = put("div", {}, root);
  const alarm = put("p", { class: "mk-error", role: "alert" }, root);
  let round = 0, page = 0, gone = false, touched = false, keys = null, timer = 0, again = null;
  const say = (text) => { if (alarm.textContent !== text) alarm.textContent = text; };
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  // Repeats a message until it is answered: a vote may be sent twice, it counts once.
  async function ask(message) {
    const own = ++round;
    while (!gone && own === round) {
      try {
        const answer = await channel.ask(message);
        if (own !== round || gone) return;
        say("");
        return show(answer);
      } catch (error) {
        say(channel.lost);
        await wait(AGAIN);
      }
    }
  }
  const act = (message) => { touched = true; ask(message); };
  function clear() {
    cancelAnimationFrame(timer);
    page += 1;
    keys = again = null;
    body.replaceChildren();
  }
  function show(answer) {
    if (answer.stage === "error") { say(answer.error); if (again) again(); return; }
    clear();
    if (answer.rater) channel.keep(answer.rater);
    ({ welcome, pair, done })[answer.stage](answer);
  }
  function welcome(answer) {
    channel.keep("");
    put("h4", {}, body, "A study in which you compare films");
    const text = put("div", { class: "mk-consent" }, body);
    for (const line of answer.consent) put("p", {}, text, line);
    put("p", {}, text, `${answer.total} pairs. Keys: left arrow or 1 for the left film, right arrow or 2 for the right `
      + "one, space to pause, R to watch again.");
    const tools = put("div", { class: "mk-tools" }, body);
    put("button", { class: "mk-act", "data-do": "begin" }, tools, "I agree, begin").onclick = () => act({ do: "begin" });
    for (const one of answer.unfinished) {
      put("button", { class: "mk-act", "data-do": "continue" }, tools,
        `Go on as ${one.rater} (${one.done} of ${answer.total} done)`).onclick =
        () => act({ do: "next", rater: one.rater });
    }
  }
  function done(answer) {
    put("h4", {}, body, "Thank you");
    put("p", { role: "status" }, body, `All ${answer.total} pairs are done. Your code is ${answer.rater}; `
      + "with it your votes can be erased.");
    put("button", { class: "mk-act", "data-do": "leave" }, body, "Next person").onclick =
      () => act({ do: "welcome" });
  }
  async function pair(answer) {
    put("h4", {}, body, answer.question);
    const place = put("p", { role: "status", class: "mk-status" }, body, `pair ${answer.number} of ${answer.total}`);
    const bar = put("progress", { max: answer.total, "aria-label": "Progress" }, body);
    bar.value = answer.number - 1;
    const films = put("div", { class: "mk-films" }, body);
    const names = { left: "left (1)", reference: "reference", right: "right (2)" };
    const figures = {};
    const screens = Object.entries(names).map(([name, caption]) => {
      const sheet = answer.films[name];
      const figure = put("figure", { class: "mk-" + name }, films);
      const canvas = put("canvas", { role: "img", "aria-label": name === "reference" ? "Reference film" :
        `Film on the ${name}`, "data-film": name, width: sheet.width, height: sheet.height }, figure);
      put("figcaption", {}, figure, caption);
      figures[name] = figure;
      const image = new Image();
      image.src = sheet.src;
      return { sheet, canvas, image, pen: canvas.getContext("2d") };
    });
    const buttons = ["left", "right"].map((side) => {
      const button = put("button", { class: "mk-act", "data-side": side }, figures[side], `The ${side} one`);
      button.onclick = () => vote(side);
      button.disabled = true;
      return button;
    });
    const tools = put("div", { class: "mk-tools" }, body);
    const hold = put("button", { class: "mk-act", "data-do": "pause", "aria-pressed": "false" }, tools, "Pause");
    hold.onclick = () => pause();
    put("button", { class: "mk-act", "data-do": "replay" }, tools, "Watch again").onclick = () => replay();
    put("span", {}, tools, `Your code: ${answer.rater}`);
    const own = page;
    try {
      await Promise.all(screens.map((screen) => screen.image.decode()));
    } catch (error) {
      say("A film cannot be shown. Load the page anew.");
      return;
    }
    if (own !== page || gone) return;
    const count = Math.max(...screens.map((screen) => screen.sheet.count));
    const whole = count / answer.fps * 1000;
    let time = 0, before = null, paused = false, replays = 0, sent = false, seen = false;
    const began = performance.now();
    function draw() {
      const now = Math.floor(time / 1000 * answer.fps) % count;
      for (const { sheet, canvas, image, pen } of screens) {
        const frame = Math.min(now, sheet.count - 1);
        pen.drawImage(image, (frame % sheet.columns) * sheet.width, Math.floor(frame / sheet.columns) * sheet.height,
          sheet.width, sheet.height, 0, 0, sheet.width, sheet.height);
        canvas.dataset.frame = frame;
      }
    }
    function ready() {
      if (seen || time < whole) return;
      seen = true;
      for (const button of buttons) button.disabled = false;
    }
    function tick(stamp) {
      if (gone || own !== page) return;
      if (before !== null && !paused) time += Math.min(stamp - before, 100);
      before = stamp;
      ready();
      draw();
      timer = requestAnimationFrame(tick);
    }
    function pause() {
      paused = !paused;
      hold.textContent = paused ? "Go on" : "Pause";
      hold.setAttribute("aria-pressed", String(paused));
    }
    function replay() {
      replays += 1;
      time = 0;
      if (paused) pause();
      if (!seen) before = null;
    }
    function vote(side) {
      if (sent) return;
      if (!seen) {
        place.textContent = `pair ${answer.number} of ${answer.total}: watch the films to their end first`;
        return;
      }
      sent = true;
      for (const button of buttons) button.disabled = true;
      place.textContent = `pair ${answer.number} of ${answer.total}: saving your vote`;
      act({ do: "vote", rater: answer.rater, token: answer.token, side, replays,
        seconds: (performance.now() - began) / 1000 });
    }
    keys = { ArrowLeft: () => vote("left"), 1: () => vote("left"), ArrowRight: () => vote("right"), 2: () => vote("right"),
      " ": pause, r: replay, R: replay };
    timer = requestAnimationFrame(tick);
    again = () => {
      sent = false;
      for (const button of buttons) button.disabled = false;
      place.textContent = `pair ${answer.number} of ${answer.total}: your vote is not saved yet, vote again`;
    };
    if (channel.whole || touched) root.focus({ preventScroll: true });
  }
  // A space on a button would press it on release: here it holds the films, whatever has the focus.
  const listen = (event) => {
    if (!keys || !(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "keydown" && !event.repeat) keys[event.key]();
  };
  const heard = channel.whole ? document : root;
  for (const type of ["keydown", "keyup"]) heard.addEventListener(type, listen);
  const kept = channel.kept();
  ask(kept ? { do: "next", rater: kept } : { do: "welcome" });
  return () => {
    gone = true;
    cancelAnimationFrame(timer);
    for (const type of ["keydown", "keyup"]) heard.removeEventListener(type, listen);
  };
}
"""

STUDY_SCRIPT = (
    _CORE
    + """
let last = 0;
function render({ model, el }) {
  const waiting = new Map();
  const hear = (answer) => {
    const resolve = waiting.get(answer.number);
    if (resolve) { waiting.delete(answer.number); resolve(answer.answer); }
  };
  model.on("msg:custom", hear);
  const channel = {
    whole: false,
    lost: "The kernel does not answer. Run this cell again and go on under your code: every vote so far is kept.",
    kept: () => model.get("rater"),
    keep: (code) => { model.set("rater", code); model.save_changes(); },
    ask: (message) => new Promise((resolve, reject) => {
      const number = Date.now() + "-" + (++last);
      waiting.set(number, resolve);
      setTimeout(() => { if (waiting.delete(number)) reject(new Error("no answer")); }, PATIENCE);
      model.send({ number, message });
    }),
  };
  const end = study(el, channel);
  return () => { end(); model.off("msg:custom", hear); };
}
export default { render };
"""
)

PAGE_SCRIPT = (
    _CORE
    + """
study(document.getElementById("study"), {
  whole: true,
  lost: "The program does not answer. Start it again with the same command; this page goes on by itself, and every vote so "
    + "far is kept.",
  kept: () => location.hash.slice(1),
  keep: (code) => history.replaceState(null, "", code ? "#" + code : location.pathname),
  ask: async (message) => {
    const reply = await fetch("/answer", { method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify(message), signal: AbortSignal.timeout(15000) });
    if (!reply.ok) throw new Error(reply.statusText);
    return reply.json();
  },
});
"""
)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>User study</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/study.css">
<script type="module" src="/study.js"></script></head>
<body><main id="study"></main></body>
</html>
"""
