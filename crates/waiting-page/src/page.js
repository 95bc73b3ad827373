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
  let { ahead } = told, said = 0, looked = Date.now(), timer, source, done = false;

  // Said to people who do not see the page, and not more often than they can bear.
  const say = (text, isUrgent) => {
    if (!isUrgent && Date.now() - said < 30000) return;
    said = Date.now();
    show("said", text);
  };

  const update = (position, serving) => {
    const now = Math.max(0, position - 1 - serving);
    show("place", number(position));
    show("ahead", number(now));
    show("serving", number(Math.max(0, serving)));
    const bar = part("progress");
    if (bar) { bar.max = Math.max(1, position - told.since); bar.value = Math.max(0, serving - told.since); }
    document.title = `(${number(now)}) ${texts.waiting}`;
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

  const turn = () => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    if (source) source.close();
    document.title = `✓ ${texts.turn}`;
    show("heading", texts.turn);
    show("about", texts.turn_about);
    ["facts", "progress", "next", "rest"].forEach((name) => reveal(name, false));
    reveal("enter");
    say(texts.turn, true);
    sound();
    if (part("notify")?.checked) new Notification(texts.turn, { body: told.title, tag: "vestibule-room" }).onclick = () => window.focus();
    // Who looks elsewhere comes back to it, but not so late that the turn is over.
    if (!document.hidden) setTimeout(again, 1500);
    document.addEventListener("visibilitychange", again);
    setTimeout(again, 30000);
  };

  const look = async () => {
    clearTimeout(timer);
    if (done) return;
    looked = Date.now();
    let pause = told.pause;
    try {
      const answer = await fetch(ask("place"), { cache: "no-store", headers: { accept: "application/json" } });
      if (!answer.ok) throw answer.status;
      // There is no waiting room any more.
      if (!/json/.test(answer.headers.get("content-type"))) return again();
      const is = await answer.json();
      reveal("offline", false);
      if (is.turn) return turn();
      if (is.situation !== told.situation || is.position !== told.position || is.opens !== told.opens) return again();
      if (is.position) update(is.position, is.serving);
      if (is.wait) { show("wait", is.wait); show("likely", is.likely || ""); }
      pause = is.pause;
    } catch {
      reveal("offline");
    }
    // What is counted comes by itself if it can; how long it takes has to be asked for.
    if (source?.readyState === 1) pause = Math.max(pause, 45);
    timer = setTimeout(() => document.hidden && !told.alerts && source?.readyState !== 1 ? undefined : look(), pause * 1000 + chance(pause / 3));
  };

  const watch = () => {
    if (!window.EventSource) return;
    source = new EventSource(ask("watch"));
    source.onmessage = (message) => {
      const is = JSON.parse(message.data);
      if (done) return;
      reveal("offline", false);
      if (told.state && is.state !== told.state) setTimeout(look, chance(3));
      told.state = is.state;
      if (!told.position) return;
      update(told.position, is.serving_counter);
      if (is.serving_counter >= told.position) look();
    };
  };

  const countdown = () => {
    const at = new Date(told.opens * 1000);
    const exact = part("opens");
    if (exact) exact.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "full", timeStyle: "short" });
    reveal("countdown-is");
    const tick = () => {
      const left = Math.max(0, Math.ceil((at - Date.now()) / 1000));
      const two = (value) => String(value).padStart(2, "0");
      const [days, hours] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24];
      show("countdown", `${days ? `${days} + ` : ""}${two(hours)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`);
      if (left) return setTimeout(tick, 1000);
      setTimeout(again, 500 + chance(2));
    };
    tick();
  };

  const wish = (name, begin) => part(name)?.addEventListener("change", async ({ target }) => {
    told.alerts = target.checked;
    if (target.checked && !(await begin())) target.checked = false;
  });
  wish("sound", () => {
    sound.audio ??= new AudioContext();
    return sound.audio.resume().then(() => true);
  });
  wish("notify", async () => {
    const may = (await Notification.requestPermission()) === "granted";
    reveal("denied", !may);
    return may;
  });

  if (told.opens && told.opens * 1000 > Date.now()) countdown();
  if (told.live && told.situation !== "closed") {
    reveal("alerts", Boolean(told.position));
    if (!window.Notification || !window.isSecureContext) part("notify")?.parentElement.remove();
    document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() - looked > 5000) look(); });
    timer = setTimeout(look, told.pause * 1000 + chance(told.pause / 3));
    watch();
  }
}
