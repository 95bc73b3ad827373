// A client as sites have it: the npm package `openid-client`, with a browser that keeps cookies and waits.
//
// Arguments: the issuer, the client's secret, where browsers are sent back to. Says `waits` while it does, and then what it got.

import * as client from "openid-client";

const [issuer, secret, redirect] = process.argv.slice(2);
const insecure = { execute: [client.allowInsecureRequests] };
const found = await client.discovery(new URL(issuer), "Sample", undefined, client.ClientSecretBasic(secret), insecure);
const [state, nonce] = [client.randomState(), client.randomNonce()];
const to = client.buildAuthorizationUrl(found, { redirect_uri: redirect, scope: "openid", state, nonce });

let cookie = "";
async function browse() {
  const answer = await fetch(to, { redirect: "manual", headers: { accept: "text/html", cookie } });
  cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
  return answer;
}
let answer = await browse();
if (answer.status !== 503) throw new Error(`nobody waits: ${answer.status}`);
console.log("waits");
for (const end = Date.now() + 20000; answer.status === 503; answer = await browse()) {
  if (Date.now() > end) throw new Error("the turn does not come");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const back = new URL(answer.headers.get("location"));
const checks = { expectedState: state, expectedNonce: nonce, idTokenExpected: true };
const tokens = await client.authorizationCodeGrant(found, back, checks);
const info = await client.fetchUserInfo(found, tokens.access_token, tokens.claims().sub);
const stolen = await client.authorizationCodeGrant(found, back, { ...checks, expectedNonce: "another" }).catch((error) => error.code);
const byPost = await client.discovery(new URL(issuer), "Sample", undefined, client.ClientSecretPost(secret), insecure);
const again = await client.authorizationCodeGrant(byPost, back, checks);
console.log(JSON.stringify({ nonce, claims: tokens.claims(), info, stolen, again: again.claims(), access: tokens.access_token, id: tokens.id_token }));
