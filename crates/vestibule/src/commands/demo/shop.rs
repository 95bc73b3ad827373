//! The shop of the demo, which is behind a waiting room.

/// Its only page.
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
  @media (prefers-color-scheme: dark) { body { background: #191713; color: #f3eee6 } li { background: #24211b; border-color: #433c30 } }
</style>
</head>
<body>
<main>
  <h1>Welcome to the umbrella sale</h1>
  <p>You were in line, and now you are in: you may look around for an hour. Reload as often as you like.</p>
  <ul>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#b3402a"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Drizzle</h2><p>Folds into a pocket. 9.00</p></li>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#2f6f62"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Downpour</h2><p>Room for two. 19.00</p></li>
    <li><svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 26a26 22 0 0 1 52 0z" fill="#2b4c8c"/><path d="M32 26v14a4 4 0 0 0 8 0" fill="none" stroke="currentColor" stroke-width="2.5"/></svg><h2>The Gale</h2><p>Never turns inside out. 29.00</p></li>
  </ul>
  <p>This page came from the sample backend, past the policy <code>waiting-room</code>. Another browser, or a private window, waits in line again.</p>
</main>
</body>
</html>
"##;
