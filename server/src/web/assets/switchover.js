// Live updates, shortcuts, small comforts. Every page works without this file.
"use strict";
(() => {
  // Behind a proxy the server may stand below a path; this file stands there too.
  const root = new URL(document.currentScript.src).pathname.replace(/\/assets\/.*$/, "");
  const signedIn = document.body.hasAttribute("data-signed-in");

  // ---- Live: regions of this page are read again when something has changed on the server.

  const state = document.getElementById("live-state");
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  let reading = false;
  let again = false;
  let timer = 0;
  let failures = 0;

  // A region is left alone while somebody is in it, or has opened or typed something there.
  const isInUse = (region) =>
    region.contains(document.activeElement) && document.activeElement !== document.body &&
    document.activeElement.matches("input, textarea, select") ||
    [...region.querySelectorAll("input, textarea")].some((field) =>
      field.type === "checkbox" || field.type === "radio"
        ? field.checked !== field.defaultChecked
        : field.type !== "hidden" && field.value !== field.defaultValue);

  const swap = (now, next) => {
    if (now.isEqualNode(next) || isInUse(now)) return;
    if (content(now) === content(next)) {
      // Times move on by themselves. Everything else stays, so that a click cannot fall between.
      const times = next.querySelectorAll("time");
      now.querySelectorAll("time").forEach((time, at) => { time.textContent = times[at].textContent; });
      return;
    }
    const open = [...now.querySelectorAll("details[open][id]")].map((each) => each.id);
    const focused = now.contains(document.activeElement) ? document.activeElement : null;
    const mark = focused && (focused.id || focused.getAttribute("href"));
    const fresh = document.importNode(next, true);
    for (const id of open) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    fresh.classList.add("changed");
    now.replaceWith(fresh);
    enhance(fresh);
    if (mark) {
      (document.getElementById(mark) ?? fresh.querySelector(`[href="${CSS.escape(mark)}"]`))?.focus({ preventScroll: true });
    }
  };

  // What a region says, apart from how long ago that was, and from the names of forms.
  const content = (region) => {
    const copy = region.cloneNode(true);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    for (const once of copy.querySelectorAll("input[name=once]")) once.remove();
    for (const open of copy.querySelectorAll("details[open]")) open.removeAttribute("open");
    return copy.innerHTML;
  };

  const refresh = async () => {
    if (reading) { again = true; return; }
    if (document.hidden || !document.querySelector("[data-live]")) return;
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) {
        say("Your session has ended: load the page again to sign in.");
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      failures = 0;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of document.querySelectorAll("[data-live][id]")) {
        const next = page.getElementById(region.id);
        if (next) swap(region, next);
      }
    } catch {
      failures += 1;
      say("Not up to date: the server does not answer; trying again.");
      soon(Math.min(30000, 1000 * 2 ** failures));
    } finally {
      reading = false;
      if (again) { again = false; soon(); }
    }
  };

  // Changes come in bursts: one look for all of them; and not everybody's at the same moment.
  const soon = (after = 150) => {
    clearTimeout(timer);
    timer = setTimeout(refresh, after + Math.random() * 350);
  };

  // Browsers open few connections to a server, and each stream takes one: a page that nobody sees has
  // none, and of those that are seen one listens for all.
  const channel = window.BroadcastChannel ? new BroadcastChannel("switchover") : null;
  if (channel) channel.onmessage = ({ data }) => { if (data === "heard") { say("Live"); soon(); } else say(data); };
  const tell = (what) => { if (what === "heard") soon(); else say(what); channel?.postMessage(what); };
  let leave = null;

  const stream = (signal) => new Promise((done) => {
    let events = null;
    const open = () => {
      if (signal.aborted) return;
      events = new EventSource(`${root}/events`);
      // What happened before the stream was open was not heard.
      events.addEventListener("open", () => { tell("Live"); tell("heard"); });
      for (const kind of ["change", "reset", "telemetry"]) events.addEventListener(kind, () => tell("heard"));
      events.addEventListener("error", () => {
        tell("Not live; trying to connect again.");
        if (events.readyState !== EventSource.CLOSED) return;
        // A stream that was refused is not tried again by the browser; reading the page says why.
        soon();
        setTimeout(open, 15000);
      });
    };
    signal.addEventListener("abort", () => { events?.close(); done(); }, { once: true });
    open();
  });

  const listen = () => {
    if (!signedIn || !window.EventSource || !document.querySelector("[data-live]") || leave) return;
    const stop = new AbortController();
    leave = () => { stop.abort(); leave = null; };
    const { signal } = stop;
    if (navigator.locks) {
      // Whoever stops listening hands on to the next page that is seen.
      navigator.locks.request("switchover-events", { signal }, () => stream(signal)).catch(() => {});
    } else {
      stream(signal);
    }
  };
  const follow = () => {
    if (document.hidden) { leave?.(); return; }
    listen();
    // What happened while nobody looked.
    if (document.querySelector("[data-live]")) soon();
  };
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => leave?.());
  // A page that comes back from the browser's memory shows what was.
  addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

  // A link from elsewhere brings no session along; a look of our own does.
  const onward = document.getElementById("continue");
  if (onward) {
    fetch(onward.href, { redirect: "manual" })
      .then((answer) => { if (answer.ok) location.replace(onward.href); })
      .catch(() => {});
  }

  // ---- Comforts.

  const enhance = (root) => {
    // Filters apply as they are chosen with a pointer. Who goes by keyboard passes through what they do not
    // want, and keeps the focus: for them, and without a script, there is a button.
    for (const form of root.querySelectorAll("form[data-auto]")) {
      let pointed = false;
      form.addEventListener("pointerdown", () => { pointed = true; });
      form.addEventListener("keydown", () => { pointed = false; });
      form.addEventListener("change", (event) => {
        if (pointed && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
      });
    }
    for (const button of root.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
        const label = button.textContent;
        try {
          await navigator.clipboard.writeText(text);
          button.textContent = "Copied";
        } catch {
          button.textContent = "Select and copy it";
        }
        setTimeout(() => { button.textContent = label; }, 2000);
      });
    }
    for (const button of root.querySelectorAll("button[data-open]")) {
      const dialog = document.getElementById(button.dataset.open);
      if (!dialog?.showModal) continue;
      button.hidden = false;
      button.addEventListener("click", () => dialog.showModal());
    }
  };

  // A form that is under way is not sent twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, 5000);
  });

  // ---- Shortcuts: single keys outside of fields.

  const places = {
    b: "/", e: "/explain", a: "/audit", r: "/releases",
    n: "/environments", p: "/policies", c: "/cohorts", w: "/webhooks", k: "/keys",
  };
  let going = 0;
  const rows = () => [...document.querySelectorAll("main [data-rows] tbody th a, main ul[data-rows] > li > a")];
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (!signedIn || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const inField = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "Escape" && inField) { event.target.blur(); return; }
    if (inField || document.querySelector("dialog[open]")) return;
    if (going && Date.now() - going < 1500 && places[event.key]) {
      going = 0;
      location.assign(root + places[event.key]);
    } else if (event.key === "g") {
      going = Date.now();
      return;
    } else if (event.key === "?") {
      document.getElementById("shortcuts")?.showModal?.();
    } else if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) search.focus(); else location.assign(`${root}/#search`);
    } else if (event.key === "j") {
      step(1);
    } else if (event.key === "k") {
      step(-1);
    } else {
      going = 0;
      return;
    }
    going = 0;
    event.preventDefault();
  });
  if (location.hash === "#search") document.querySelector("input[type=search]")?.focus();

  enhance(document);
  if (!document.hidden) listen();
})();
