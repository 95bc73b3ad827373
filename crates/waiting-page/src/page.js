"use strict";
{
  const told = JSON.parse(document.getElementById("v-room").textContent);
  const { texts } = told;
  const part = (name) => document.querySelector(`[data-v="${name}"]`);
  const show = (name, text) => { const at = part(name); if (at && at.textContent !== text) at.textContent = text; };
  const reveal = (name, is = true) => { const at = part(name); if (at) at.hidden = !is; };
  const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, texts.group);
  const chance = (seconds) => Math.random() * seconds * 1000;
  const ask = (what) => { const to = new URL(location.href); to.hash = ""; to.searchParams.set("vestibule-room", what); return to; };
  const again = () => location.reload();
  let { ahead } = told, crowd = 0, said = 0, looked = Date.now(), failures = 0, timer, source, hears = false, done = false;
  let shown = told.wait, shownAt = Date.now();

  // Said to people who do not see the page, and not more often than they can bear.
  const say = (text, isUrgent) => {
    if (!isUrgent && Date.now() - said < 30000) return;
    said = Date.now();
    show("said", text);
  };

  // A time between two, in seconds, in words: as `Texts::span` of the gateway has it.
  const span = ([least, most]) => {
    if (most <= 60) return texts.soon;
    const unit = most <= 10800 ? 60 : 3600;
    const step = (units) => (unit > 60 || units < 20 ? 1 : units < 60 ? 5 : 10);
    let [from, to] = [Math.floor(least / unit), Math.ceil(most / unit)];
    to = Math.ceil(to / step(to)) * step(to);
    from = Math.min(from - (from % step(from)), to - 1);
    const text = most > 86400 ? (from ? texts.more : texts.unknown) : from ? texts.between : texts.up_to;
    const values = { least: number(from), most: number(to), unit: unit > 60 ? texts.hours : texts.minutes };
    return text.replace(/\{(least|most|unit)\}/g, (_, name) => values[name]);
  };

  // What has changed a little only is told now and then, so that it does not jump about.
  const expect = (wait) => {
    const isNear = wait && shown && wait.every((bound, end) => Math.abs(bound - shown[end]) < shown[1] / 5);
    if (isNear && Date.now() - shownAt < 20000) return;
    [shown, shownAt] = [wait, Date.now()];
    show("wait", wait ? span(wait) : texts.unknown);
    show("likely", wait ? texts.likely : "");
  };

  // Forecasts are for 1, 2, 4, ... places; between two of them it is a straight line.
  const forecast = (waits, places) => {
    const at = waits.findIndex(([known]) => known >= places);
    const [to, ...high] = waits[at < 0 ? waits.length - 1 : at];
    if (at < 0) return high.map((bound) => (bound * places) / to);
    const [from, ...low] = waits[at - 1] ?? [0, ...high];
    return high.map((bound, end) => low[end] + ((bound - low[end]) * (places - from)) / (to - from));
  };

  const update = (position, serving) => {
    const now = Math.max(0, position - 1 - Math.max(0, serving));
    show("place", number(position));
    show("ahead", number(now));
    show("serving", number(Math.max(0, serving)));
    const bar = part("progress");
    if (bar) { bar.max = Math.max(1, position - told.since); bar.value = Math.max(0, serving - told.since); }
    document.title = `(${number(now)}) ${texts.heading}${told.title && ` \u2013 ${told.title}`}`;
    if (now !== ahead) { ahead = now; say(`${texts.ahead}: ${number(now)}`); }
  };

  const sound = () => {
    const audio = sound.audio;
    if (!audio) return;
    [[660, 0], [880, 0.25], [1100, 0.5]].forEach(([pitch, after]) => {
      const [tone, volume, at] = [audio.createOscillator(), audio.createGain(), audio.currentTime + after];
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.001, at);
      volume.gain.exponentialRampToValueAtTime(0.4, at + 0.03);
      volume.gain.exponentialRampToValueAtTime(0.001, at + 0.6);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.65);
    });
  };

  // Some browsers have notifications, and let no page make one by itself. Without a permission nothing is shown by asking.
  const notifies = () => {
    try {
      return window.isSecureContext && (Notification.permission === "granted" || Boolean(new Notification("")));
    } catch { return false; }
  };

  const turn = () => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    if (source) source.close();
    document.title = `✓ ${texts.turn}`;
    show("heading", texts.turn);
    show("about", texts.turn_about);
    ["over", "facts", "progress", "next", "rest"].forEach((name) => reveal(name, false));
    reveal("enter");
    say(texts.turn, true);
    // Who looks elsewhere comes back to it, but not so late that the turn is over.
    if (!document.hidden) setTimeout(again, 1500);
    document.addEventListener("visibilitychange", again);
    setTimeout(again, Math.min(30, (told.holds ?? 60) / 2) * 1000);
    // Whatever becomes of these, the turn is not lost by it.
    try {
      if (part("sound")?.checked) sound();
      if (part("notify")?.checked) new Notification(texts.turn, { body: told.title, tag: "vestibule-room" }).onclick = () => window.focus();
    } catch { /* The page itself says it. */ }
  };

  // A page that nobody sees asks nothing, unless it is to tell its visitor, is missed, or hears of everything anyway.
  const later = (pause) => {
    clearTimeout(timer);
    timer = setTimeout(() => document.hidden && !told.unseen && !wanted() && !hears ? undefined : look(), pause * 1000 + chance(pause / 3));
  };
  const wanted = () => ["sound", "notify"].some((name) => part(name)?.checked);
  // A change that everybody hears of at once does not bring everybody at once.
  const spread = () => chance(1 + Math.min(10, crowd / 10000));

  const look = async () => {
    clearTimeout(timer);
    if (done) return;
    looked = Date.now();
    let { pause } = told, atLeast = 0;
    try {
      const answer = await fetch(ask("place"), { cache: "no-store", headers: { accept: "application/json" } });
      if (answer.status > 499 || answer.status === 429) {
        atLeast = Number(answer.headers.get("retry-after")) || 0;
        throw answer.status;
      }
      // There is no waiting room any more.
      if (!/json/.test(answer.headers.get("content-type"))) return again();
      const is = await answer.json();
      failures = 0;
      reveal("offline", false);
      if (is.turn) return turn();
      if (is.situation !== told.situation || is.position !== told.position || is.opens !== told.opens) return again();
      if (is.position) update(is.position, is.serving);
      expect(is.wait);
      ({ pause } = is);
      if (source?.readyState === 2) watch();
      // What changes comes by itself; this is in case it does not.
      if (hears) pause = Math.max(pause, shown ? 240 : 60);
    } catch {
      reveal("offline");
      pause = Math.max(Math.min(pause * 2 ** failures++, 120), Math.min(atLeast, 600));
    }
    later(pause);
  };

  const watch = () => {
    if (!window.EventSource) return;
    source = new EventSource(ask("watch"));
    source.onmessage = (message) => {
      const is = JSON.parse(message.data);
      if (done) return;
      hears = true;
      crowd = is.waiting_num;
      reveal("offline", false);
      // It opens, pauses or closes; or it was reset, that was undone, or lots were drawn: then this place is another one.
      if ((told.state ?? is.state) !== is.state || told.line !== is.line) setTimeout(look, spread());
      ({ state: told.state, line: told.line } = is);
      if (!told.position) return;
      update(told.position, is.serving_counter);
      if (is.serving_counter >= told.position) look();
      else if (is.waits) expect(forecast(is.waits, told.position - is.serving_counter));
    };
    source.onerror = () => {
      // It comes again by itself. Until then this asks, and says if there is nobody.
      if (hears && !done) later(told.pause);
      hears = false;
    };
  };

  const countdown = () => {
    const at = new Date(told.opens * 1000);
    // The page's language as it is written where somebody lives, if the browser says so: `en-GB` has other dates than `en`.
    const { lang } = document.documentElement;
    const locale = navigator.languages.find((tag) => tag.split("-")[0] === lang) ?? lang;
    const exact = part("opens");
    if (exact) exact.textContent = at.toLocaleString(locale, { dateStyle: "full", timeStyle: "short" });
    const inDays = new Intl.NumberFormat(locale, { style: "unit", unit: "day", unitDisplay: "long", numberingSystem: "latn" });
    reveal("countdown-is");
    const tick = () => {
      const left = Math.max(0, Math.ceil((at - Date.now()) / 1000));
      const two = (value) => String(value).padStart(2, "0");
      const [days, hours] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24];
      show("countdown", `${days ? `${inDays.format(days)} ` : ""}${two(hours)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`);
      if (left) return setTimeout(tick, 1000);
      setTimeout(again, 500 + spread());
    };
    tick();
  };

  // What somebody wishes is kept for this tab, since the page is loaded again when the room opens, or pauses.
  const wishes = (name, begin) => {
    const [box, key] = [part(name), `vestibule-${name}`];
    box?.addEventListener("change", async () => {
      if (box.checked && !(await begin())) box.checked = false;
      try { sessionStorage[key] = box.checked; } catch { /* Then it is wished again. */ }
    });
    return () => { try { return Boolean(box) && sessionStorage[key] === "true"; } catch { return false; } };
  };
  const hear = () => {
    sound.audio ??= new AudioContext();
    return sound.audio.resume().then(() => true);
  };
  const isSoundWished = wishes("sound", hear);
  const isNoticeWished = wishes("notify", async () => {
    const may = (await Notification.requestPermission()) === "granted";
    reveal("denied", !may);
    return may;
  });

  if (told.opens && told.opens * 1000 > Date.now()) countdown();
  if (told.live) {
    reveal("alerts", Boolean(told.position));
    if (!notifies()) part("notify")?.parentElement.remove();
    // Without somebody's touch a browser may not play: then the box says so.
    if (isSoundWished()) hear().then(() => { part("sound").checked = true; });
    if (isNoticeWished() && window.Notification?.permission === "granted" && part("notify")) part("notify").checked = true;
    document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() - looked > 5000) look(); });
    later(told.pause);
    watch();
  }
}
