// What the console does in the browser: it puts parts that the server has made into their places,
// sends forms without leaving the page, and goes on asking in four models. All of it is this file;
// nothing is fetched from elsewhere.
"use strict";
(() => {
  const token = document.body.dataset.token;
  const place = (id) => document.getElementById(id);

  // put fills places by their ids. What has not changed stays as it is, and so does what the
  // keyboard is in.
  const known = new Map();
  function put(parts) {
    for (const [id, html] of Object.entries(parts)) {
      const at = place(id);
      if (!at || known.get(id) === html) continue;
      known.set(id, html);
      const inside = at.contains(document.activeElement) && document.activeElement !== at ? document.activeElement : null;
      const again = inside && inside.dataset.keep;
      at.innerHTML = html;
      if (again) at.querySelector(`[data-keep="${CSS.escape(again)}"]`)?.focus();
    }
  }

  // Live: server-sent events, while the page can be seen.
  const link = place("link");
  function lost(text) {
    link.hidden = !text;
    if (link.textContent !== text) link.textContent = text;
  }
  function live(address, heard) {
    let source = null;
    const over = new AbortController(); // ends what listens to the page, too
    const open = () => {
      if (source || document.hidden || over.signal.aborted) return;
      source = new EventSource(address);
      source.onopen = () => lost("");
      source.onmessage = (event) => heard(JSON.parse(event.data));
      source.onerror = () => {
        lost("The console does not answer; trying again.");
        if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 1000); }
      };
    };
    const close = () => { source?.close(); source = null; };
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()), { signal: over.signal });
    addEventListener("pagehide", close, { signal: over.signal });
    open();
    return () => { over.abort(); close(); };
  }
  if (document.body.dataset.live) live(document.body.dataset.live, put);

  // send posts a form's fields and returns the parts that the server has made.
  async function send(address, fields, signal) {
    const body = new URLSearchParams(fields);
    body.set("token", token);
    const reply = await fetch(address, { method: "POST", body, headers: { "Quartet-Parts": "1" }, signal, credentials: "same-origin" });
    if (!(reply.headers.get("content-type") || "").startsWith("application/json")) throw new Error(await reply.text());
    return reply.json();
  }

  // A form or a button with data-parts is sent without leaving the page.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-parts]")) return;
    event.preventDefault();
    const fields = new FormData(form, event.submitter);
    const busy = place(form.dataset.parts);
    const before = document.activeElement;
    busy?.classList.add("busy");
    try {
      put(await send(event.submitter?.getAttribute("formaction") || form.getAttribute("action"), fields));
    } catch (failed) {
      lost(String(failed.message || failed));
    } finally {
      busy?.classList.remove("busy");
      if (before && before.isConnected) before.focus({ preventScroll: true });
    }
  });

  // A key, four ways: each model asks by itself, so that the one that waits stops nobody else.
  const play = place("play");
  if (play) {
    let stop = null;
    const most = 400; // cells that a strip keeps
    const cell = (model, kind, html) => {
      const strip = place(`${kind}-${model}`);
      if (!strip) return;
      strip.insertAdjacentHTML("beforeend", html);
      while (strip.childElementCount > most) strip.firstElementChild.remove();
    };
    const pause = (ms, signal) => new Promise((done) => {
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
    });
    async function round(model, signal) {
      while (!signal.aborted) {
        for (const kind of play.dataset.write ? ["set", "get"] : ["get"]) {
          if (document.hidden || signal.aborted) break;
          const fields = { key: place("key").value, replica: place("replica").value, model, request: kind, auto: "1" };
          try {
            const parts = await send("/four/try", fields, signal);
            cell(model, kind, parts.cell);
            delete parts.cell;
            if (kind === "get") put(parts);
          } catch (failed) {
            if (!signal.aborted) { lost("The console does not answer; trying again."); await pause(1000, signal); }
            break;
          }
          lost("");
        }
        await pause(350, signal);
      }
    }
    play.addEventListener("click", () => {
      const on = !stop;
      play.setAttribute("aria-pressed", String(on));
      play.textContent = on ? play.dataset.on : play.dataset.off;
      // What changes several times a second is not to be read out each time.
      for (const result of document.querySelectorAll(".result")) result.setAttribute("aria-live", on ? "off" : "polite");
      if (!on) { stop.abort(); stop = null; return; }
      stop = new AbortController();
      for (const model of ["1", "2", "3", "4"]) round(model, stop.signal);
    });
  }

  // A watch: what comes is put on top, and the oldest goes.
  const watch = place("watch");
  if (watch) {
    let close = null;
    const list = place("feed");
    watch.addEventListener("click", () => {
      const on = !close;
      watch.setAttribute("aria-pressed", String(on));
      watch.textContent = on ? watch.dataset.on : watch.dataset.off;
      if (!on) { close(); close = null; return; }
      list.replaceChildren();
      close = live(watch.dataset.address, (heard) => {
        list.insertAdjacentHTML("afterbegin", heard.events);
        while (list.childElementCount > 200) list.lastElementChild.remove();
      });
    });
  }
})();
