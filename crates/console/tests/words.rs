//! What the page says, asked of its own scripts.

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_page_says_what_will_be_and_what_was() {
    let scripts = [include_str!("../src/words.js"), include_str!("../src/simulate.js")].concat().replace("export ", "");
    let mut node = Command::new("node").args(["--input-type=module", "-"]).stdin(Stdio::piped()).spawn().unwrap();

    let asked = [scripts.as_str(), include_str!("words.mjs")].concat();
    node.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();

    assert!(node.wait().unwrap().success(), "what was not so is printed above");
}
