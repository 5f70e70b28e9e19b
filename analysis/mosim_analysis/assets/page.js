"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byGroup = new Map(data.groups.map((group) => [group.name, []]));
  data.runs.forEach((run, place) => byGroup.get(run.group)?.push(place));
  const state = restored();
  const offGroups = new Set(state.groups), offRuns = new Set(state.runs);
  const LEGEND_ENTRIES = 18;
  const visible = new Set();
  let version = 0;  // How often something was switched; figures say of which they are drawn.
  document.body.dataset.switched = String(version);
  const config = { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  // What is switched off outlasts a reload, which a page that is being rewritten does by itself.
  function restored() {
    try {
      return JSON.parse(sessionStorage.getItem(data.key)) ?? { groups: [], runs: [], task: 0 };
    } catch {
      return { groups: [], runs: [], task: 0 };
    }
  }

  function keep() {
    const kept = { groups: [...offGroups], runs: [...offRuns], task: state.task };
    try {
      sessionStorage.setItem(data.key, JSON.stringify(kept));
    } catch {
      document.documentElement.dataset.forgets = "yes";
    }
  }

  const isOn = (place) => !offGroups.has(data.runs[place].group) && !offRuns.has(data.runs[place].id);
  const groupIsOn = (group) =>
    group === null || (!offGroups.has(group) && (byGroup.get(group) ?? []).some(isOn));

  /* A trace with the points of those runs alone that are on. */
  function filtered(trace) {
    if (trace.meta.columns) return withColumns(trace);
    if (!groupIsOn(trace.meta.group)) return { ...trace, runs: undefined, visible: false };
    if (!trace.runs) return trace;
    const kept = [], customdata = [];
    let start = 0;
    for (const [place, count] of trace.runs) {
      if (isOn(place)) {
        for (let point = start; point < start + count; point++) kept.push(point);
        const said = [escaped(data.runs[place].name), data.runs[place].id];
        for (let point = 0; point < count; point++) customdata.push(said);
      }
      start += count;
    }
    const pick = (values) => (Array.isArray(values) && values.length === start ? kept.map((point) => values[point]) : values);
    return { ...trace, runs: undefined, visible: kept.length > 0, x: pick(trace.x), y: pick(trace.y), text: pick(trace.text), customdata };
  }

  /* A heat map with the columns of those groups alone that are on. */
  function withColumns(trace) {
    const kept = trace.meta.columns.map((group, column) => [group, column]).filter(([group]) => groupIsOn(group));
    const pick = (row) => kept.map(([, column]) => row[column]);
    return { ...trace, visible: kept.length > 0, x: pick(trace.x), z: trace.z.map(pick), customdata: trace.customdata.map(pick) };
  }

  function layoutFor(figure, element) {
    const layout = { ...figure.layout, width: undefined, autosize: true };
    if (element.clientWidth < 520) {
      layout.margin = { ...layout.margin, l: 46, r: 16 };
      layout.font = { ...layout.font, size: 11 };
    }
    return layout;
  }

  function draw(element) {
    const figure = data.figures[element.id];
    Plotly.react(element, figure.data.map(filtered), layoutFor(figure, element), config);
    element.dataset.drawn = String(version);
  }

  function redraw() {
    version += 1;
    document.body.dataset.switched = String(version);
    keep();
    for (const element of visible) draw(element);
    drawLegends();
    for (const cell of document.querySelectorAll("[data-group]")) cell.hidden = !groupIsOn(cell.dataset.group);
    for (const row of document.querySelectorAll("tr[data-run]")) row.hidden ||= offRuns.has(row.dataset.run);
  }

  /* Under the figures of a narrow screen, where the list of groups is folded away. */
  function drawLegends() {
    const entries = data.groups.filter((group) => groupIsOn(group.name)).slice(0, LEGEND_ENTRIES)
      .map((group) => `<span>${group.swatch}${escaped(group.name)}</span>`).join("");
    for (const legend of document.querySelectorAll(".legend")) legend.innerHTML = entries;
  }

  // Figures are drawn when they come near the screen, so that a page with many opens at once.
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) visible.delete(target);
      else {
        visible.add(target);
        if (target.dataset.drawn !== String(version)) draw(target);
      }
    }
  }, { rootMargin: "300px" });

  function checkbox(label, checked, onChange, extra = "") {
    const element = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked });
    box.addEventListener("change", () => onChange(box.checked));
    element.append(box);
    if (extra.startsWith("<svg")) element.insertAdjacentHTML("beforeend", extra);
    const text = Object.assign(document.createElement("span"), { className: "text", textContent: label });
    element.append(text);
    if (extra && !extra.startsWith("<svg")) {
      element.append(Object.assign(document.createElement("span"), { className: "state", textContent: extra }));
    }
    return element;
  }

  function escaped(text) {
    const element = document.createElement("i");
    element.textContent = text;
    return element.innerHTML;
  }

  function listRuns(list, places) {
    list.replaceChildren(...places.map((place) => {
      const run = data.runs[place];
      const item = document.createElement("li");
      const label = checkbox(run.name, !offRuns.has(run.id), (on) => {
        on ? offRuns.delete(run.id) : offRuns.add(run.id);
        redraw();
      }, run.state);
      label.querySelector("input").dataset.run = run.id;
      item.append(label);
      return item;
    }));
  }

  function listGroups() {
    const task = taskName(), wanted = document.getElementById("filter").value.trim().toLowerCase();
    const list = document.getElementById("groups");
    const open = new Set([...list.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    list.replaceChildren();
    for (const group of data.groups) {
      const all = byGroup.get(group.name).filter((place) => task === null || data.runs[place].task === task);
      const places = wanted
        ? all.filter((place) => `${data.runs[place].name} ${group.name} ${data.runs[place].id}`.toLowerCase().includes(wanted))
        : all;
      if (!places.length) continue;
      const item = document.createElement("li");
      const label = checkbox(group.name, !offGroups.has(group.name), (on) => {
        on ? offGroups.delete(group.name) : offGroups.add(group.name);
        redraw();
      }, group.swatch);
      label.querySelector("input").dataset.groupBox = group.name;
      item.append(label);
      const details = document.createElement("details"), inner = document.createElement("ul");
      details.dataset.name = group.name;
      details.append(Object.assign(document.createElement("summary"), { textContent: places.length === 1 ? "1 run" : `${places.length} runs` }), inner);
      details.addEventListener("toggle", () => details.open && listRuns(inner, places));
      details.open = open.has(group.name) || (Boolean(wanted) && places.length <= 50);
      item.append(details);
      list.append(item);
    }
  }

  const parts = [...document.querySelectorAll(".task-part")];
  const buttons = [...document.querySelectorAll("button.task")];
  const taskName = () => (buttons.length ? buttonTask(state.task) : null);
  const buttonTask = (number) => (buttons[number].textContent === "no task" ? "" : buttons[number].textContent);

  function showTask(number) {
    state.task = Math.min(Math.max(number, 0), parts.length - 1);
    for (const part of parts) part.hidden = Number(part.dataset.task) !== state.task;
    for (const button of buttons) {
      button.classList.toggle("on", Number(button.dataset.task) === state.task);
      button.setAttribute("aria-pressed", String(Number(button.dataset.task) === state.task));
    }
    listGroups();
    keep();
  }

  for (const button of buttons) button.addEventListener("click", () => showTask(Number(button.dataset.task)));
  document.getElementById("filter").addEventListener("input", listGroups);
  document.getElementById("all").addEventListener("click", () => {
    offGroups.clear();
    offRuns.clear();
    listGroups();
    redraw();
  });
  document.getElementById("none").addEventListener("click", () => {
    for (const group of data.groups) offGroups.add(group.name);
    listGroups();
    redraw();
  });
  if (matchMedia("(max-width: 900px)").matches) document.getElementById("controls").open = false;

  showTask(state.task);
  drawLegends();
  if (offGroups.size || offRuns.size) redraw();
  for (const element of document.querySelectorAll(".figure")) {
    if (/-(sweep|dimensions)/.test(element.id)) element.classList.add("spread");
    watcher.observe(element);
  }
})();
