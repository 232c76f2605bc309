"use strict";
// From the moment a visitor chooses files until the server has answered, no verdict of an earlier photograph is shown.
// An upload that fails on its way never reaches the server: Gradio shows a message, and this tells the server.
(() => {
  const root = document.documentElement, told = new WeakSet();
  const serial = () => document.querySelector("#verdict [data-serial]")?.dataset.serial;
  const failures = () => Array.from(document.querySelectorAll(".toast-body.error"));
  let before;

  function begin(event) {
    if (!event.target.closest?.("#good, #query, #model")) return;
    failures().forEach((failure) => told.add(failure));
    before = serial();
    root.dataset.upload = "";
  }

  function look() {
    if (!("upload" in root.dataset)) return;
    if (serial() !== before) return delete root.dataset.upload;
    const failure = failures().find((one) => !told.has(one));
    if (!failure) return;
    told.add(failure);
    window.failedUpload = (failure.querySelector("[data-testid='toast-text']") ?? failure).innerText;
    document.querySelector("#lost").click();
  }

  document.addEventListener("change", (event) => event.target.type === "file" && begin(event), true);
  document.addEventListener("drop", begin, true);
  new MutationObserver(look).observe(root, { childList: true, subtree: true, attributeFilter: ["data-serial"] });
})();
