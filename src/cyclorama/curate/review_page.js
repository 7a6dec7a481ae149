"use strict";
(() => {
  const root = document.getElementById("review");
  const title = root.querySelector("h1").textContent;
  const WHO = "cyclorama-review/who";

  let items = [];
  let decisions = {}; // key -> {choice, who, when, reason, basis}
  let position = 0;
  let who = "";
  let openOnly = true; // whether next and previous pass decided items by
  let why = false;
  let busy = false;
  let problem = "";
  let labels = new Set(); // of the item that is shown, as chosen

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

  const recall = () => {
    try {
      return localStorage.getItem(WHO) ?? "";
    } catch {
      return "";
    }
  };
  const keep = (name) => {
    try {
      localStorage.setItem(WHO, name);
    } catch {} // the name is asked for again after a reload
  };

  async function ask(place, values) {
    const options = values && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
    };
    const response = await fetch(place, options);
    const found = await response.json();
    if (!response.ok) throw new Error(found.detail ?? `the server answered ${response.status}`);
    return found;
  }

  // --- moving about -------------------------------------------------------------------------------------

  const isStale = (item) => item.key in decisions && decisions[item.key].basis !== item.basis;
  const isOpen = (item) => !(item.key in decisions) || isStale(item);
  const countOpen = () => items.filter(isOpen).length;

  function show(place) {
    position = Math.max(0, Math.min(items.length - 1, place));
    labels = new Set((decisions[items[position]?.key]?.labels ?? "").split(",").filter(Boolean));
    if (items.length) history.replaceState(null, "", `#${encodeURIComponent(items[position].key)}`);
    draw();
  }

  function move(step) {
    let place = position + step;
    if (openOnly) while (place in items && !isOpen(items[place])) place += step;
    if (place in items) show(place);
  }

  function goOn() {
    const after = items.findIndex((item, place) => place > position && isOpen(item));
    const next = after >= 0 ? after : items.findIndex(isOpen);
    if (next >= 0) show(next);
    else draw();
  }

  // --- deciding -----------------------------------------------------------------------------------------

  async function act(request) {
    if (busy) return;
    busy = true;
    problem = "";
    try {
      await request();
    } catch (error) {
      problem = `Not kept: ${error.message}`;
      busy = false;
      draw();
    }
    busy = false;
  }

  const decide = (choice) =>
    act(async () => {
      const item = items[position];
      const reason = document.getElementById("note")?.value ?? "";
      const { decision } = await ask("decisions", { key: item.key, choice, who, reason, labels: [...labels].join() });
      decisions[item.key] = decision;
      busy = false;
      goOn();
    });

  const undo = () =>
    act(async () => {
      const { undone, decision } = await ask("undo", { who });
      if (!undone) {
        problem = `There is no decision of ${who} to take back.`;
        draw();
        return;
      }
      if (decision) decisions[undone.key] = decision;
      else delete decisions[undone.key];
      const place = items.findIndex((item) => item.key === undone.key);
      show(place >= 0 ? place : position);
    });

  function explain() {
    why = !why;
    draw();
  }

  function turn(label) {
    if (!labels.delete(label)) labels.add(label);
    document.getElementById(`label-${label}`).setAttribute("aria-pressed", String(labels.has(label)));
  }

  // --- what is seen -------------------------------------------------------------------------------------

  function describe(item) {
    const decision = decisions[item.key];
    if (!decision) return make("p", { className: "state", id: "state" }, "Open");
    const when = new Date(decision.when * 1000).toLocaleString();
    const said = decision.choice === "accept" ? "Accepted" : "Rejected";
    const said_why = [decision.labels?.replaceAll(",", ", "), decision.reason].filter(Boolean).join("; ");
    const note = said_why ? `: ${said_why}` : "";
    const stale = isStale(item) ? " What is shown has changed since; please look again." : "";
    return make(
      "p",
      { className: `state ${decision.choice}`, id: "state" },
      `${said} by ${decision.who}, ${when}${note}.${stale}`,
    );
  }

  function showNumbers(item) {
    const rows = Object.entries(item.numbers).map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(Number(value.toPrecision(4))))),
    );
    return rows.length ? make("table", { id: "why" }, ...rows) : make("p", { id: "why" }, "No numbers.");
  }

  const showLabels = (item) =>
    make(
      "div",
      { id: "labels", className: "labels", role: "group", "aria-label": "What is wrong" },
      ...item.labels.map((label, place) =>
        button(`label-${label}`, label.replaceAll("_", " "), String((place + 1) % 10), () => turn(label), {
          "aria-pressed": String(labels.has(label)),
        }),
      ),
    );

  const button = (id, label, key, act, properties = {}) =>
    make("button", { id, type: "button", onclick: act, ...properties }, label, make("kbd", {}, key));

  function draw() {
    const item = items[position];
    const open = countOpen();
    const top = make("div", { className: "top" }, make("h1", {}, title), make("span", { className: "soft" }, who));
    if (!item) {
      root.replaceChildren(top, make("p", { id: "empty" }, "Nothing was put to review."));
      return;
    }
    const heading = make("h2", { tabIndex: -1 }, item.title);
    const images = item.images.map((image) =>
      make(
        "figure",
        {},
        make("img", { src: `images/${image.path.split("/").pop()}`, alt: image.label }),
        make("figcaption", {}, image.label),
      ),
    );
    const bar = make(
      "div",
      { className: "bar" },
      button("previous", "Previous", "K", () => move(-1)),
      button("accept", "Accept", "A", () => decide("accept")),
      button("reject", "Reject", "R", () => decide("reject")),
      button("undo", "Undo", "U", undo),
      button("next", "Next", "J", () => move(1)),
      button("explain", "Why", "W", explain, { "aria-pressed": String(why) }),
      button("filter", openOnly ? "Open only" : "All", "F", () => {
        openOnly = !openOnly;
        draw();
      }),
      make(
        "div",
        { className: "grow" },
        make("span", { id: "count" }, `${position + 1} of ${items.length}, ${open} open`),
        make("progress", { max: items.length, value: items.length - open, "aria-label": "decided" }),
      ),
    );
    root.replaceChildren(
      top,
      heading,
      make("p", { id: "problem", className: "bad", role: "alert" }, problem),
      describe(item),
      make("ul", { id: "reasons" }, ...item.reasons.map((reason) => make("li", {}, reason))),
      make("div", { className: "images" }, ...images),
      ...(why ? [showNumbers(item)] : []),
      ...(item.labels?.length ? [showLabels(item)] : []),
      make("label", { htmlFor: "note" }, "Note for the next decision (N)"),
      make("input", { id: "note", maxLength: 500, autocomplete: "off" }),
      ...(open ? [] : [make("p", { id: "done" }, items[0].kind === "poster" ? "All decided." : "All decided. Run cyclorama curate again to take it in.")]),
      bar,
    );
    heading.focus({ preventScroll: true });
    const after = items[position + 1];
    for (const image of after?.images ?? []) new Image().src = `images/${image.path.split("/").pop()}`;
  }

  function welcome() {
    const field = make("input", { id: "who", maxLength: 80, autocomplete: "name", value: recall() });
    const start = async () => {
      who = field.value.trim();
      if (!who) return;
      keep(who);
      await load();
    };
    field.addEventListener("keydown", (event) => event.key === "Enter" && start());
    root.replaceChildren(
      make("h1", {}, title),
      make("label", { htmlFor: "who" }, "Your name, kept with each decision"),
      field,
      make("p", { className: "soft" }, "Keys: A accept, R reject, U undo, J next, K previous, W why, N note, F open or all; 1 to 0 what is wrong with a poster."),
      make("p", { id: "problem", className: "bad", role: "alert" }, problem),
      button("start", "Start", "Enter", start),
    );
    field.focus();
  }

  async function load() {
    try {
      ({ items, decisions } = await ask(`items?who=${encodeURIComponent(who)}`));
    } catch (error) {
      problem = `Cannot read the list: ${error.message}`;
      welcome();
      return;
    }
    let wanted = "";
    try {
      wanted = decodeURIComponent(location.hash.slice(1));
    } catch {} // a hand-written address
    const place = items.findIndex((item) => item.key === wanted);
    show(place >= 0 ? place : Math.max(0, items.findIndex(isOpen)));
  }

  const KEYS = {
    a: () => decide("accept"),
    r: () => decide("reject"),
    u: undo,
    backspace: undo,
    j: () => move(1),
    arrowright: () => move(1),
    k: () => move(-1),
    arrowleft: () => move(-1),
    w: explain,
    f: () => document.getElementById("filter").click(),
    n: () => document.getElementById("note").focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (!items.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const note = document.getElementById("note");
    if (event.target === note) {
      if (event.key === "Escape" || event.key === "Enter") root.querySelector("h2").focus();
      return;
    }
    const label = /^[0-9]$/.test(event.key) && items[position].labels?.[(Number(event.key) + 9) % 10];
    const key = label ? () => turn(label) : KEYS[event.key.toLowerCase()];
    if (key) {
      event.preventDefault();
      key();
    }
  });

  who = recall();
  if (who && location.hash) load();
  else welcome();
})();
