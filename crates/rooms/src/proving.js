
(() => {
  const shown = document.getElementById("proof");
  const { challenge, difficulty, cookie } = shown.dataset;
  const about = document.getElementById("proof-about");
  const failed = () => { document.getElementById("proof-failed").hidden = false; about.hidden = shown.hidden = true; };
  try {
    about.hidden = shown.hidden = false;
    roomProof.solve({ challenge, difficulty: Number(difficulty) }, (progress) => { shown.value = progress; }).then((proof) => {
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `${cookie}=${proof}; Path=/; Max-Age=60; SameSite=Lax${secure}`;
      if (document.cookie.includes(proof)) location.reload();
      else failed();
    }).catch(failed);
  } catch { failed(); }
})();
