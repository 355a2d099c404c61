// Replaces parts of a page when the server sends them again. Without this script, a reload shows the same.
"use strict";

// Tables stay scrolled to where they are, and keep the focus.
function replace(part, text) {
  const regions = () => [...part.querySelectorAll(".wide")];
  const name = (region) => region.getAttribute("aria-label");
  const before = regions().map((region) => ({ name: name(region), left: region.scrollLeft, focused: region === document.activeElement }));
  part.innerHTML = text;
  for (const region of regions()) {
    const same = before.find((one) => one.name === name(region));
    if (!same) continue;
    region.scrollLeft = same.left;
    if (same.focused) region.focus({ preventScroll: true });
  }
}

for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  let newest = null;
  source.addEventListener(part.dataset.part, (event) => {
    const active = document.activeElement;
    // A part in which somebody types or is about to press a button is replaced when the focus has left it.
    if (part.contains(active) && !active.matches(".wide")) {
      newest = event.data;
    } else {
      newest = null;
      replace(part, event.data);
    }
  });
  part.addEventListener("focusout", (event) => {
    if (newest === null || part.contains(event.relatedTarget)) return;
    const text = newest;
    newest = null;
    replace(part, text);
  });
  addEventListener("pagehide", () => source.close());
}

for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
