// Helps in the editor of mapping files: findings while somebody types, completion, what is at the cursor, marks beside the lines. Without
// this script, the buttons of the form check, format and save.
"use strict";

for (const form of document.querySelectorAll("form[data-editor]")) {
  edit(form, form.querySelector("textarea"));
}

function edit(form, area) {
  const findings = document.getElementById("findings");
  const about = document.getElementById("about");
  const field = area.parentElement;
  const file = form.dataset.file;
  const loaded = area.value;
  let leaving = false;

  const gutter = document.createElement("div");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  field.prepend(gutter);
  field.classList.add("helped");
  form.querySelector(".keys").hidden = false;

  // One request of a kind at a time: a newer text makes the older answer useless.
  const running = {};
  async function ask(what) {
    running[what]?.abort();
    const abort = (running[what] = new AbortController());
    const body = new URLSearchParams({ csrf: form.elements.csrf.value, text: area.value, at: area.selectionStart });
    const answer = await fetch(form.dataset.editor + what + "/" + file, { method: "POST", body, signal: abort.signal }).catch(() => null);
    return answer?.ok ? answer : null;
  }

  function later(time, work) {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(work, time); };
  }

  // Marks beside the lines.
  function number() {
    const marked = new Map();
    for (const one of findings.querySelectorAll("[data-line]")) {
      const line = Number(one.dataset.line);
      if (marked.get(line) !== "error") marked.set(line, one.dataset.severity);
    }
    const count = area.value.split("\n").length;
    gutter.replaceChildren();
    for (let line = 1; line <= count; line += 1) {
      const cell = document.createElement("div");
      cell.textContent = String(line);
      const mark = marked.get(line);
      if (mark) cell.className = mark === "error" ? "bad" : "warn";
      gutter.append(cell);
    }
    gutter.scrollTop = area.scrollTop;
  }

  function go(line, column) {
    const lines = area.value.split("\n");
    let at = 0;
    for (let n = 0; n < line - 1 && n < lines.length; n += 1) at += lines[n].length + 1;
    const before = Array.from(lines[line - 1] ?? "").slice(0, Math.max(0, column - 1)).join("");
    area.focus();
    area.setSelectionRange(at + before.length, at + before.length);
    area.scrollTop = Math.max(0, (line - 6) * metrics().line);
    gutter.scrollTop = area.scrollTop;
  }

  // Places of findings lead into the text.
  function link() {
    for (const one of findings.querySelectorAll("[data-line]")) {
      const place = one.querySelector(".place");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.textContent = place.textContent;
      button.addEventListener("click", () => go(Number(one.dataset.line), Number(one.dataset.column)));
      place.replaceChildren(button);
    }
  }

  const check = later(400, async () => {
    const answer = await ask("findings");
    if (!answer) return;
    findings.innerHTML = await answer.text();
    link();
    number();
  });

  const explain = later(300, async () => {
    if (area.selectionStart !== area.selectionEnd) return;
    const answer = await ask("hover");
    if (!answer) return;
    const text = await answer.text();
    about.innerHTML = text;
    about.hidden = text === "";
  });

  // Completion.
  const list = document.createElement("ul");
  list.className = "offers";
  list.id = "offers";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completion");
  list.hidden = true;
  field.append(list);
  area.setAttribute("aria-controls", "offers");
  area.setAttribute("aria-autocomplete", "list");
  let offers = [];
  let chosen = 0;

  function metrics() {
    const style = getComputedStyle(area);
    const canvas = (metrics.canvas ??= document.createElement("canvas").getContext("2d"));
    canvas.font = style.font;
    return {
      line: parseFloat(style.lineHeight), width: canvas.measureText("0").width,
      left: parseFloat(style.paddingLeft), top: parseFloat(style.paddingTop),
    };
  }

  function close() {
    list.hidden = true;
    offers = [];
    area.removeAttribute("aria-activedescendant");
  }

  function choose(index) {
    chosen = (index + offers.length) % offers.length;
    for (const [n, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(n === chosen));
    const item = list.children[chosen];
    area.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  function insert(from, to, text) {
    area.focus();
    area.setSelectionRange(from, to);
    // The old command keeps what "Undo" knows; where it is missing, the text is replaced all the same.
    if (!document.execCommand("insertText", false, text)) {
      area.setRangeText(text, from, to, "end");
      area.dispatchEvent(new Event("input"));
    }
  }

  function take() {
    const offer = offers[chosen];
    close();
    if (!offer) return;
    insert(offer.from, area.selectionStart, offer.text);
    area.setSelectionRange(offer.from + offer.cursor, offer.from + offer.cursor);
    close();
  }

  const complete = later(120, async () => {
    const at = area.selectionStart;
    const answer = await ask("completion");
    const found = answer ? await answer.json() : [];
    if (area.selectionStart !== at || document.activeElement !== area) return;
    offers = found;
    list.replaceChildren();
    if (offers.length === 0) return close();
    for (const [n, offer] of offers.entries()) {
      const item = document.createElement("li");
      item.id = "offer-" + n;
      item.setAttribute("role", "option");
      const label = document.createElement("b");
      label.textContent = offer.label;
      const detail = document.createElement("span");
      detail.textContent = offer.detail;
      item.append(label, detail);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); chosen = n; take(); });
      list.append(item);
    }
    const size = metrics();
    const before = area.value.slice(0, at).split("\n");
    const x = size.left + before[before.length - 1].length * size.width - area.scrollLeft + area.offsetLeft;
    const y = size.top + before.length * size.line - area.scrollTop + area.offsetTop;
    list.hidden = false;
    list.style.left = Math.max(0, Math.min(x, field.clientWidth - list.offsetWidth)) + "px";
    list.style.top = y + "px";
    choose(0);
  });

  area.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      const save = form.querySelector("button[value=save]");
      if (save) form.requestSubmit(save);
    } else if (event.ctrlKey && event.key === " ") {
      event.preventDefault();
      complete();
    } else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (open && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      take();
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      // The next line begins where this one does.
      const line = area.value.slice(0, area.selectionStart).split("\n").pop();
      event.preventDefault();
      insert(area.selectionStart, area.selectionEnd, "\n" + line.match(/^[ \t]*/)[0]);
    }
  });
  area.addEventListener("input", (event) => {
    number();
    check();
    const typed = event.data ?? "";
    if (/^[\w.|@$"{(]$/.test(typed)) complete();
    else close();
  });
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; close(); });
  area.addEventListener("blur", close);
  document.addEventListener("selectionchange", () => { if (document.activeElement === area) explain(); });
  form.addEventListener("submit", () => { leaving = true; });
  addEventListener("beforeunload", (event) => { if (!leaving && area.value !== loaded) event.preventDefault(); });

  link();
  number();
  const line = Number(new URLSearchParams(location.search).get("line"));
  if (line > 0) go(line, 1);
}
