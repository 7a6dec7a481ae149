"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = data.wording;
  const server = document.documentElement.dataset.server;
  const root = document.getElementById("study");
  const FORMAT = "cyclorama-study-answers/1";
  const RETRY_MILLISECONDS = 5000;

  let rater = null;
  let steps = []; // one per task and question
  let position = 0;
  let answers = {}; // "task/question" -> {order, seconds, changed}
  let drafts = {}; // "task/question" -> places given so far
  let started = null;
  let shownAt = 0;
  let kept = true; // whether localStorage works here
  let unsent = new Set();
  let sending = false;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name in node && !name.startsWith("aria")) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  // --- what is kept -------------------------------------------------------------------------------------

  const place = () => `cyclorama-study/${data.study}/${rater}`;

  function keep() {
    try {
      const values = { answers, drafts, started, unsent: [...unsent] };
      localStorage.setItem(place(), JSON.stringify(values));
    } catch {
      kept = false;
    }
  }

  function recall() {
    try {
      const values = JSON.parse(localStorage.getItem(place()));
      if (values) ({ answers, drafts, started } = values);
      if (values && server) unsent = new Set(values.unsent);
    } catch {
      kept = false;
    }
  }

  function collect() {
    const known = steps.filter((step) => step.key in answers);
    return {
      format: FORMAT,
      study: data.study,
      rater,
      started,
      finished: known.length === steps.length ? new Date().toISOString() : null,
      answers: known.map((step) => ({ task: step.task, question: step.question, ...answers[step.key] })),
    };
  }

  function download() {
    const text = JSON.stringify(collect(), null, 1) + "\n";
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const link = make("a", { href: address, download: `answers-${data.study}-${rater}.json` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  // --- the server, if there is one ----------------------------------------------------------------------

  async function fetchAnswers() {
    const response = await fetch(`${server}?rater=${encodeURIComponent(rater)}`);
    if (!response.ok) throw new Error(response.status);
    unsent = new Set(Object.keys(answers));
    for (const { task, question, order, seconds, changed } of (await response.json()).answers) {
      const key = `${task}/${question}`;
      if (key in answers && answers[key].changed > changed) continue;
      answers[key] = { order, seconds, changed };
      drafts[key] = [...order];
      unsent.delete(key);
    }
  }

  async function send() {
    if (!server || sending || unsent.size === 0) return;
    sending = true;
    const keys = [...unsent];
    const batch = collect();
    batch.answers = batch.answers.filter((answer) => keys.includes(`${answer.task}/${answer.question}`));
    const sent = new Map(keys.map((key) => [key, answers[key].changed]));
    try {
      const response = await fetch(server, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(batch),
      });
      if (!response.ok) throw new Error(response.status);
      for (const key of keys) if (answers[key].changed === sent.get(key)) unsent.delete(key);
      sending = false;
      keep();
      if (unsent.size) send();
    } catch {
      sending = false;
      setTimeout(send, RETRY_MILLISECONDS);
    }
    if (position >= steps.length) showDone();
  }

  // --- screens ------------------------------------------------------------------------------------------

  function show(...children) {
    root.replaceChildren(...children);
    window.scrollTo(0, 0);
  }

  function showStart(code) {
    const input = make("input", {
      id: "code", value: code, autocomplete: "off", autocapitalize: "characters", spellcheck: false,
      maxLength: 12, "aria-describedby": "problem",
    });
    const problem = make("p", { id: "problem", className: "bad", role: "alert" });
    const begin = (event) => {
      event.preventDefault();
      enter(input.value.trim().toUpperCase()).then((known) => {
        if (known) return;
        problem.textContent = words.unknown_code;
        input.setAttribute("aria-invalid", "true");
        input.focus();
      });
    };
    const hints = ["introduction_rank", "introduction_change", "introduction_keys", "introduction_kept"];
    show(
      make("h1", {}, words.title),
      make("ul", {}, ...hints.map((hint) =>
        make("li", { className: hint === "introduction_keys" ? "keys" : "" }, words[hint]))),
      make("form", { onsubmit: begin },
        make("label", { htmlFor: "code" }, words.code), input, problem,
        make("p", {}, make("button", { type: "submit", className: "main", id: "start" }, `${words.start} →`))),
    );
    (code ? document.getElementById("start") : input).focus();
  }

  async function enter(code) {
    if (!Object.hasOwn(data.raters, code)) return false;
    rater = code;
    steps = data.raters[code].flatMap((task) =>
      data.questions.map((question) => ({ ...task, question, key: `${task.task}/${question}` })));
    recall();
    started ??= new Date().toISOString();
    if (server) await fetchAnswers().catch(() => {});
    const open = steps.findIndex((step) => !(step.key in answers));
    position = open < 0 ? steps.length : open;
    keep();
    history.replaceState(null, "", `#${code}`);
    send();
    showStep();
    return true;
  }

  function showStep() {
    if (position >= steps.length) return showDone();
    const step = steps[position];
    const [width, height] = step.size;
    const heading = make("h2", { tabIndex: -1 }, words[step.question]);
    const parts = [heading, make("p", { className: "soft" }, words[`${step.question}_scale`])];
    if (step.question === "similarity") {
      const source = data.images[step.reference];
      parts.push(make("div", { className: "reference" },
        make("figure", {}, make("figcaption", {}, words.reference),
          makeImage({ src: source, alt: words.reference })),
        makeZoom(source, words.reference)));
    }
    const cards = step.images.map((name, index) => {
      const label = fill(words.image, { letter: data.letters[index] });
      const badge = make("span", { className: "place", hidden: true, "aria-hidden": "true" });
      const pick = make("button", { type: "button", className: "pick", onclick: () => choose(index) },
        makeImage({ src: data.images[name], alt: "", width, height }),
        make("span", { className: "letter", "aria-hidden": "true" }, data.letters[index]), badge);
      return make("li", { className: "card" }, pick, makeZoom(data.images[name], label));
    });
    const progress = fill(words.progress, { done: position + 1, all: steps.length });
    const tool = (id, sign, label, action) =>
      make("button", { type: "button", id, onclick: action, "aria-label": label, title: label }, sign);
    const next = tool("next", "→", words.next, goOn);
    next.classList.add("main");
    show(...parts, make("ul", { className: "images" }, ...cards),
      make("p", { id: "news", className: "hidden", role: "status" }),
      ...(kept ? [] : [make("p", { className: "bad" }, words.not_kept)]),
      make("nav", { className: "bar", "aria-label": words.progress.replace(/\{\w+\}/g, "").trim() },
        tool("back", "←", words.back, goBack), tool("undo", "↶", words.undo, undo),
        make("div", { className: "grow" }, make("span", {}, progress),
          make("progress", { max: steps.length, value: position, "aria-label": progress })),
        tool("download", "⤓", words.download, download), next));
    shownAt = performance.now();
    mark();
    heading.focus();
  }

  // an image that an outage kept away is asked for again until it comes
  function makeImage(properties) {
    const again = () => setTimeout(() => { image.src = properties.src; }, 1000);
    const image = make("img", { ...properties, onerror: again });
    return image;
  }

  function makeZoom(source, label) {
    const open = () => {
      const dialog = make("dialog", { "aria-label": label, onclose: () => dialog.remove() });
      const close = make("button", { type: "button", className: "main", onclick: () => dialog.close() }, words.close);
      dialog.append(makeImage({ src: source, alt: label }), close);
      document.body.append(dialog);
      dialog.showModal();
    };
    const name = `${words.enlarge}: ${label}`;
    return make("button", { type: "button", className: "zoom", onclick: open, "aria-label": name, title: name }, "⤢");
  }

  function showDone() {
    const parts = [make("h2", { tabIndex: -1, id: "done" }, `✓ ${words.done}`)];
    const text = !server ? words.send_file : unsent.size ? words.not_sent : words.saved;
    parts.push(make("p", { id: "fate", role: "status" }, text));
    if (!kept) parts.push(make("p", { className: "bad" }, words.not_kept));
    const save = make("button", { type: "button", id: "download", onclick: download }, `⤓ ${words.download}`);
    if (!server) save.className = "main";
    parts.push(make("p", {}, save, " ",
      make("button", { type: "button", id: "back", onclick: goBack }, `← ${words.back}`)));
    show(...parts);
    document.getElementById("done").focus();
  }

  // --- answering ----------------------------------------------------------------------------------------

  const given = () => (drafts[steps[position].key] ??= []);
  const say = (text) => { document.getElementById("news").textContent = text; };

  function mark() {
    const step = steps[position];
    const order = given();
    [...root.querySelectorAll(".pick")].forEach((pick, index) => {
      const found = order.indexOf(step.images[index]);
      const badge = pick.querySelector(".place");
      const label = fill(words.image, { letter: data.letters[index] });
      badge.hidden = found < 0;
      badge.textContent = found + 1;
      pick.setAttribute("aria-pressed", String(found >= 0));
      pick.setAttribute("aria-label", found < 0 ? label : `${label}, ${fill(words.place, { place: found + 1 })}`);
    });
    document.getElementById("next").disabled = order.length < step.images.length;
    document.getElementById("undo").disabled = order.length === 0;
    document.getElementById("back").disabled = position === 0;
  }

  function change(order) {
    drafts[steps[position].key] = order;
    keep();
    mark();
  }

  function choose(index) {
    const step = steps[position];
    const name = step.images[index];
    const order = given();
    const found = order.indexOf(name);
    if (found >= 0) {
      change(order.slice(0, found));
      return say(words.taken_back);
    }
    const chosen = [...order, name];
    const left = step.images.filter((other) => !chosen.includes(other));
    const complete = left.length <= 1;
    change(complete ? [...chosen, ...left] : chosen);
    const news = fill(words.placed, { letter: data.letters[index], place: chosen.length });
    say(complete ? `${news}. ${words.complete}` : news);
    if (complete) document.getElementById("next").focus();
  }

  function undo() {
    const order = given();
    if (order.length === 0) return;
    const full = order.length === steps[position].images.length; // the last place had filled itself
    change(order.slice(0, order.length - (full ? 2 : 1)));
    say(words.taken_back);
    if (document.activeElement.disabled || document.activeElement === document.body) root.querySelector(".pick").focus();
  }

  function goOn() {
    const { key, images } = steps[position];
    const order = given();
    if (order.length < images.length) return;
    const before = answers[key];
    if (!before || before.order.join() !== order.join()) {
      const seconds = Math.round((performance.now() - shownAt) / 100) / 10;
      answers[key] = { order: [...order], seconds, changed: Date.now() };
      unsent.add(key);
    }
    position += 1;
    keep();
    send();
    showStep();
  }

  function goBack() {
    if (position === 0) return;
    position -= 1;
    keep();
    showStep();
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]");
    if (typing || !rater || position >= steps.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target instanceof HTMLButtonElement;
    let index = data.letters.indexOf(event.key.toUpperCase());
    if (index < 0 && /^[1-9]$/.test(event.key)) index = Number(event.key) - 1;
    if (event.key.length === 1 && index >= 0 && index < steps[position].images.length) {
      if (!given().includes(steps[position].images[index])) choose(index);
    } else if (event.key === "Backspace") undo();
    else if (event.key === "ArrowLeft") goBack();
    else if (event.key === "ArrowRight" || (event.key === "Enter" && !onButton)) goOn();
    else return;
    event.preventDefault();
  });

  window.addEventListener("hashchange", () => location.reload()); // another rater's link in the same tab

  const wanted = decodeURIComponent(location.hash.slice(1)).trim().toUpperCase();
  let before = false;
  try {
    before = localStorage.getItem(`cyclorama-study/${data.study}/${wanted}`) !== null;
  } catch {
    kept = false;
  }
  if (before && Object.hasOwn(data.raters, wanted)) enter(wanted);
  else showStart(wanted);
})();
