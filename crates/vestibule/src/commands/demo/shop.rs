//! The shop of the demo, which is behind a waiting room.

/// Where everything can be bought.
pub(super) const PAGE: &str = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Umbrella sale</title>
<style>
  :root { color-scheme: light dark }
  body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: #fbf7f0; color: #26221c }
  main { max-width: 60rem; margin: 0 auto; padding: 2rem clamp(1rem, 5vw, 3rem) 4rem }
  h1 { font-size: clamp(1.8rem, 6vw, 2.6rem); line-height: 1.15; margin: 0 0 .5rem }
  ul { list-style: none; padding: 0; margin: 2rem 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)) }
  li { background: #fff; border: 1px solid #e5dccb; border-radius: .75rem; padding: 1.25rem }
  h2 { margin: .75rem 0 .25rem; font-size: 1.1rem }
  svg { width: 100%; height: 6rem }
  p { margin: .25rem 0 }
  code { background: #8883; padding: .1em .3em; border-radius: .2em }
  button { font: inherit; font-weight: 600; margin-top: .75rem; padding: .5rem 1.5rem; min-height: 2.75rem; border: 0; border-radius: .5rem; background: #26221c; color: #fff; cursor: pointer }
  aside { border-inline-start: .25rem solid #b3402a; padding-inline-start: 1rem }
  @media (prefers-color-scheme: dark) { body { background: #191713; color: #f3eee6 } li { background: #24211b; border-color: #433c30 } button { background: #f3eee6; color: #191713 } }
</style>
</head>
<body>
<main>
  <h1>Welcome to the umbrella sale</h1>
  <p>You were in line, and now you are in: you may look around for an hour. Reload as often as you like.</p>
  <ul>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#b3402a"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Drizzle</h2><p>Folds into a pocket. 9.00</p><form method="post" action="/shop/orders"><button aria-label="Buy The Drizzle">Buy</button></form></li>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#2f6f62"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Downpour</h2><p>Room for two. 19.00</p><form method="post" action="/shop/orders"><button aria-label="Buy The Downpour">Buy</button></form></li>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#2b4c8c"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Gale</h2><p>Never turns inside out. 29.00</p><form method="post" action="/shop/orders"><button aria-label="Buy The Gale">Buy</button></form></li>
  </ul>
  <aside>
    <h2>What has happened</h2>
    <p>You joined a line, and a signed cookie kept your place. When your turn came, the policy <code>waiting-room</code> let you through to this page, which is the sample backend's. Another browser, or a private window, waits in line again.</p>
    <p>The terminal shows a link to the page of this shop's operator: pause the line there, or let in ten at once, and see what a window that waits makes of it.</p>
  </aside>
</main>
</body>
</html>
"##;

/// What somebody sees who bought something.
pub(super) const THANKS: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Thank you</title>
<style>
  :root { color-scheme: light dark }
  body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: #fbf7f0; color: #26221c }
  main { max-width: 40rem; margin: 0 auto; padding: 3rem clamp(1rem, 5vw, 3rem) }
  a { color: inherit }
  @media (prefers-color-scheme: dark) { body { background: #191713; color: #f3eee6 } }
</style>
</head>
<body>
<main>
  <h1>Thank you: the umbrella is yours</h1>
  <p>It is a sample, so nothing is sent and nothing is paid. That was the whole way of a visitor: in line, in, and done. The
    operator's page counts your visit as completed: the policy <code>waiting-room-visit</code> saw what the shop answered.</p>
  <p><a href="/shop">Back to the shop</a>: your visit is over, so you wait in line again.</p>
</main>
</body>
</html>
"#;
