
(() => {
  const shown = document.getElementById("proof");
  const { challenge, difficulty, cookie } = shown.dataset;
  const failed = () => { document.getElementById("proof-failed").hidden = false; shown.hidden = true; };
  try {
    shown.hidden = false;
    roomProof.solve({ challenge, difficulty: Number(difficulty) }, (progress) => { shown.value = progress; }).then((proof) => {
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `${cookie}=${proof}; Path=/; Max-Age=60; SameSite=Lax${secure}`;
      if (document.cookie.includes(proof)) location.reload();
      else failed();
    }).catch(failed);
  } catch { failed(); }
})();
