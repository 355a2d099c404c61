// Replaces parts of a page when the server sends them again. Without this script, a reload shows the same.
"use strict";

for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  source.addEventListener(part.dataset.part, (event) => {
    // A part in which somebody types or is about to press a button is replaced when the focus has left it.
    if (part.contains(document.activeElement)) {
      part.addEventListener("focusout", () => { part.innerHTML = event.data; }, { once: true });
    } else {
      part.innerHTML = event.data;
    }
  });
  addEventListener("pagehide", () => source.close());
}

for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
