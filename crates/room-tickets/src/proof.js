// Solves a waiting room's challenge in a worker, so that the page goes on answering whoever uses it.
//
//   roomProof.solve({challenge, difficulty}, onProgress) -> Promise of a proof: a text to be sent as `proof` with the join.
//
// `onProgress` is called now and then with a number from 0 to 1: how likely it is that the proof would be there by now.
// A site that has a Content-Security-Policy needs `worker-src blob:` for it.
"use strict";
const roomProof = (() => {
  const work = () => {
    // SHA-256 (FIPS 180-4) of texts that differ at their end only: a call of the browser's own for each would take longer.
    const constants = new Uint32Array(64);
    const initial = new Uint32Array(8);
    let found = 0;
    for (let candidate = 2; found < 64; candidate += 1) {
      let isPrime = true;
      for (let divisor = 2; divisor * divisor <= candidate; divisor += 1) {
        if (candidate % divisor === 0) { isPrime = false; break; }
      }
      if (!isPrime) continue;
      const fraction = (root) => ((root - Math.floor(root)) * 4294967296) | 0;
      if (found < 8) initial[found] = fraction(Math.sqrt(candidate));
      constants[found] = fraction(Math.cbrt(candidate));
      found += 1;
    }
    const words = new Uint32Array(64);
    const block = (state, bytes, offset) => {
      for (let index = 0; index < 16; index += 1) {
        const at = offset + index * 4;
        words[index] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      }
      for (let index = 16; index < 64; index += 1) {
        const x = words[index - 15];
        const y = words[index - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        words[index] = (words[index - 16] + s0 + words[index - 7] + s1) | 0;
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let index = 0; index < 64; index += 1) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const first = (h + s1 + ((e & f) ^ (~e & g)) + constants[index] + words[index]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + first) | 0; d = c; c = b; b = a; a = (first + second) | 0;
      }
      state[0] += a; state[1] += b; state[2] += c; state[3] += d;
      state[4] += e; state[5] += f; state[6] += g; state[7] += h;
    };
    const padded = new Uint8Array(192);
    const state = new Uint32Array(8);
    const zeros = (prefix, digits) => {
      const length = prefix.length + digits.length;
      const whole = (length + 9 + 63) & ~63;
      padded.fill(0, length, whole);
      for (let index = 0; index < digits.length; index += 1) padded[prefix.length + index] = digits.charCodeAt(index);
      padded[length] = 0x80;
      padded[whole - 2] = (length * 8) >> 8;
      padded[whole - 1] = (length * 8) & 255;
      state.set(initial);
      for (let offset = 0; offset < whole; offset += 64) block(state, padded, offset);
      let count = 0;
      for (const word of state) {
        count += Math.clz32(word);
        if (word !== 0) break;
      }
      return count;
    };
    onmessage = ({ data: { challenge, difficulty } }) => {
      const prefix = challenge + ".";
      for (let index = 0; index < prefix.length; index += 1) padded[index] = prefix.charCodeAt(index);
      for (let number = 0; ; number += 1) {
        const digits = String(number);
        if (zeros(prefix, digits) >= difficulty) {
          postMessage({ proof: prefix + digits });
          return;
        }
        if (number % 8192 === 8191) postMessage({ progress: 1 - Math.exp(-number / 2 ** difficulty) });
      }
    };
  };

  const solve = (asked, onProgress) =>
    new Promise((resolve, reject) => {
      const address = URL.createObjectURL(new Blob([`(${work})()`], { type: "text/javascript" }));
      const worker = new Worker(address);
      const end = () => { worker.terminate(); URL.revokeObjectURL(address); };
      worker.onmessage = ({ data }) => {
        if (data.proof === undefined) { if (onProgress) onProgress(data.progress); return; }
        end();
        resolve(data.proof);
      };
      worker.onerror = (error) => { end(); reject(new Error(error.message || "the worker failed")); };
      worker.postMessage(asked);
    });

  return { solve };
})();
