//! The command line as operators use it: what is printed, and the exit code.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const GOOD: &str = "version: 1\nlisteners:\n  public: {bind: \"127.0.0.1:0\"}\n";

/// Runs `vestibule` in a folder with these files.
fn vestibule(files: &[(&str, &str)], arguments: &[&str]) -> (i32, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let output = run(folder.path(), arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), folder)
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule")).args(arguments).current_dir(folder).output().unwrap()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn a_good_document_is_summed_up_in_a_line() {
    let (code, printed, _folder) = vestibule(&[("a.yaml", GOOD)], &["check", "a.yaml"]);
    assert_eq!(printed, "a.yaml: 1 listener, 0 upstreams, 0 apis, 0 products, no findings\n");
    assert_eq!(code, 0);
}

#[test]
fn findings_of_all_files_are_printed_and_counted() {
    let files = [("a.yaml", "version: 2\nlisteners: {}\n"), ("b.yaml", "version: 1\nlistners: {}\n"), ("c.yaml", GOOD)];
    let (code, printed, _folder) = vestibule(&files, &["check", "a.yaml", "b.yaml", "c.yaml", "d.yaml"]);
    let expected = "\
a.yaml:1:10: /version: `2` is not known here; write `1`
b.yaml:2:1: /listners: unknown key `listners`; did you mean `listeners`?
d.yaml:1:1: cannot be read: No such file or directory (os error 2)
3 findings
";
    assert_eq!(printed, expected);
    assert_eq!(code, 1);
}

/// Mistakes in keys, in values, and in what only shows when the whole is put together.
const WRONG: &str = r#"version: 2
listeners:
  other: {bnd: "127.0.0.1:0"}
sotre: {embedded: ./data}
upstreams:
  orders: {targets: ["http://127.0.0.1:9000"], timeouts: {connect: 5}}
  broken: {targts: ["http://127.0.0.1:9000"]}
apis:
  orders:
    match: {pth: /orders}
    upstream: ordres
    policies:
      - ip-fliter: {deny: [10.0.0.0/8]}
      - api-key: {hedaer: x-key}
      - quota: {requests: ten, per: day, by: app}
      - headers: {}
  more:
    match: {path: /x}
    upstream: broken
    operations: [{match: GETT, upstream: nope}]
  twin:
    match: {path: /x}
    upstream: orders
products:
  gold: {operations: ["ordrs: GET /**", "orders: GET /**"]}
"#;

#[test]
fn one_check_tells_every_mistake_and_nothing_that_only_follows_from_one() {
    let (code, printed, _folder) = vestibule(&[("a.yaml", WRONG)], &["check", "a.yaml"]);
    let expected = "\
a.yaml:1:10: /version: `2` is not known here; write `1`
a.yaml:3:11: /listeners/other/bnd: unknown key `bnd`; did you mean `bind`?
a.yaml:4:1: /sotre: unknown key `sotre`; did you mean `store`?
a.yaml:6:68: /upstreams/orders/timeouts/connect: `5` has no unit; write a span of time such as `250ms`, `5s` or `1h30m`
a.yaml:7:12: /upstreams/broken/targts: unknown key `targts`; did you mean `targets`?
a.yaml:10:13: /apis/orders/match/pth: unknown key `pth`; did you mean `path`?
a.yaml:11:15: /apis/orders/upstream: there is no upstream `ordres`; did you mean `orders`?
a.yaml:13:9: /apis/orders/policies/0/ip-fliter: unknown key `ip-fliter`; did you mean `ip-filter`?
a.yaml:14:19: /apis/orders/policies/1/api-key/hedaer: unknown key `hedaer`; did you mean `header`?
a.yaml:15:27: /apis/orders/policies/2/quota/requests: `ten` is not a whole number
a.yaml:16:18: /apis/orders/policies/3/headers: changes nothing: write what to change in `request` or `response`
a.yaml:20:26: /apis/more/operations/0/match: `GETT` is not a method and a path, such as `GET /orders/{id}`
a.yaml:20:42: /apis/more/operations/0/upstream: there is no upstream `nope`; what fits here: `orders` and `broken`
a.yaml:22:12: /apis/twin/match: `* /x/**` clashes with `* /x/**` at /apis/more/match: both want the same requests and \
neither is more specific; change a path, or add a host, method, header or query parameter to one of them
a.yaml:25:23: /products/gold/operations/0: there is no api `ordrs`; did you mean `orders`?
15 findings
";
    assert_eq!((code, printed.as_str()), (1, expected));
}

#[test]
fn machines_read_findings_as_json() {
    let (code, printed, _folder) =
        vestibule(&[("a.yaml", "version: 2\nlisteners: {}\n")], &["check", "--json", "a.yaml"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let expected = serde_json::json!({ "findings": [{
        "file": "a.yaml", "line": 1, "column": 10, "pointer": "/version", "message": "`2` is not known here; write `1`"
    }], "remarks": [] });
    assert_eq!((code, printed), (1, expected));
}

#[test]
fn a_mistake_on_the_command_line_ends_with_2() {
    for arguments in [&["chek"][..], &[], &["check"], &["diff", "a.yaml"], &["fmt", "--chck", "a.yaml"]] {
        let (code, _, _folder) = vestibule(&[], arguments);
        assert_eq!(code, 2, "{arguments:?}");
    }
}

#[test]
fn differences_are_printed_and_are_no_mistake() {
    let files =
        [("a.yaml", GOOD), ("b.yaml", &*format!("{GOOD}workers: 4\n")), ("c.yaml", "version: 2\nlisteners: {}\n")];
    let of = |arguments: &[&str]| {
        let (code, printed, _folder) = vestibule(&files, arguments);
        (code, printed)
    };
    assert_eq!(of(&["diff", "a.yaml", "b.yaml"]), (0, "+ /workers: 4\n".to_owned()));
    assert_eq!(of(&["diff", "a.yaml", "a.yaml"]), (0, "no differences\n".to_owned()));
    let json = "{\"changes\":[{\"pointer\":\"/workers\",\"change\":\"added\",\"new\":4}]}\n";
    assert_eq!(of(&["diff", "--json", "a.yaml", "b.yaml"]), (0, json.to_owned()));
    let (code, printed) = of(&["diff", "a.yaml", "c.yaml"]);
    assert_eq!((code, printed.ends_with("1 finding\n")), (1, true), "{printed}");
}

#[test]
fn fmt_writes_the_canonical_form_and_check_only_asks() {
    let files = [("a.yaml", "version:   1\nlisteners: { }\n"), ("b.yaml", GOOD), ("c.yaml", "a: [\n")];
    let (code, printed, folder) = vestibule(&files, &["fmt", "--check", "a.yaml", "b.yaml"]);
    assert_eq!((code, printed.as_str()), (1, "a.yaml: is not in canonical form\n"));
    assert_eq!(fs::read_to_string(folder.path().join("a.yaml")).unwrap(), files[0].1);

    let (code, printed, folder) = vestibule(&files, &["fmt", "a.yaml", "b.yaml"]);
    assert_eq!((code, printed.as_str()), (0, "a.yaml: formatted\n"));
    assert_eq!(fs::read_to_string(folder.path().join("a.yaml")).unwrap(), "version: 1\nlisteners: {}\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files.len());

    let (code, printed, folder) = vestibule(&files, &["fmt", "c.yaml"]);
    assert_eq!((code, printed.lines().count()), (1, 2), "{printed}");
    assert_eq!(fs::read_to_string(folder.path().join("c.yaml")).unwrap(), "a: [\n");
}

/// A draw as a program of others has it: Python's `hashlib` and `hmac`, and AES of `openssl`.
const DRAW: &str = include_str!("draw.txt");

#[test]
fn a_published_draw_is_checked_without_a_gateway() {
    let verify = |draw: &str, more: &[&str]| {
        let (code, printed, _folder) =
            vestibule(&[("draw.txt", draw)], &[&["room", "verify", "draw.txt"], more].concat());
        (code, printed)
    };
    let commitment = "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";
    let (code, printed) =
        verify(DRAW, &["--commitment", commitment, "--request-id", "00000000-0000-4000-8000-000000000005"]);
    assert!(printed.starts_with("right: 5 visitors drew, and each has the place that follows"), "{printed}");
    assert!(printed.ends_with("your lot came as number 1, and your place is 1\n"), "{printed}");
    assert_eq!(code, 0);
    for (draw, more, expected) in [
        (DRAW.to_owned(), ["--commitment", &"00".repeat(32)], "wrong: the seed is not the one that was committed to\n"),
        (DRAW.replace("8430af", "8430ad"), ["--commitment", commitment], "wrong: the visitor "),
        (
            DRAW.replace("\n5 ", "\n6 "),
            ["--commitment", commitment],
            "wrong: the visitor 993224b4fe85990df64db926ca5c0346",
        ),
        (DRAW.replace("\n5 ", "\nx "), ["--commitment", commitment], ""),
    ] {
        let (code, printed) = verify(&draw, &more);
        assert!(printed.starts_with(expected) && code == 1, "{printed}");
    }
    for none in ["zz", "null", "00"] {
        assert_eq!(verify(DRAW, &["--commitment", none]), (2, String::new()), "{none} accuses nobody");
    }
}

#[test]
fn the_schema_that_is_checked_in_is_current() {
    let printed = String::from_utf8(run(root(), &["schema"]).stdout).unwrap();
    let checked_in = fs::read_to_string(root().join("vestibule.schema.json")).unwrap();
    assert!(printed == checked_in, "run `cargo run -p vestibule -- schema > vestibule.schema.json`");
}

#[test]
fn every_example_has_no_findings_and_is_in_canonical_form() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(&folder.path().join("tls"));
    let examples = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> =
        examples.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let copy = folder.path().join(example.file_name().unwrap());
        fs::copy(&example, &copy).unwrap();
        for command in [&["check"][..], &["fmt", "--check"]] {
            let output = run(root(), &[command, &[copy.to_str().unwrap()]].concat());
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn keys_that_close_secrets_are_exchanged_by_commands() {
    let store = format!("{GOOD}store: {{embedded: ./data}}\n");
    let files = [("vestibule.yaml", &*store), ("none.yaml", GOOD)];
    let (code, printed, folder) = vestibule(&files, &["secrets", "rotate-data-key"]);
    assert_eq!((code, printed.as_str()), (0, "0 secrets closed with a new data key\n"));
    let master = || fs::read(folder.path().join("data/master.key")).unwrap();
    let before = master();

    let output = run(folder.path(), &["secrets", "rotate-master-key"]);

    assert!(output.status.success());
    assert_ne!(master(), before);
    let output = run(folder.path(), &["secrets", "rotate-master-key", "none.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no `store`"));
}

#[test]
fn the_ten_lines_of_the_readme_have_no_findings() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let document = readme.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let (code, printed, _folder) = vestibule(&[("vestibule.yaml", document)], &["check", "vestibule.yaml"]);
    assert_eq!((code, document.lines().count()), (0, 10), "{printed}");
}

/// The files that examples refer to.
fn make_certificates(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for name in ["api.example.com", "partners.example.com", "partners-ca", "internal-ca", "gateway"] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        for extension in ["crt", "pem"] {
            fs::write(
                folder.join(name).with_extension("").with_file_name(format!("{name}.{extension}")),
                made.cert.pem(),
            )
            .unwrap();
        }
        fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
}

#[test]
fn routes_that_clash_are_both_named() {
    let apis = "apis:\n  a: {match: {path: /x}}\n  b: {match: {path: /x}}\n";
    let (code, printed, _folder) = vestibule(&[("a.yaml", &*format!("{GOOD}{apis}"))], &["check", "a.yaml"]);
    let expected = "a.yaml:6:14: /apis/b/match: `* /x/**` clashes with `* /x/**` at /apis/a/match: both want the same \
                    requests and neither is more specific; change a path, or add a host, method, header or query \
                    parameter to one of them\n1 finding\n";
    assert_eq!((code, printed.as_str()), (1, expected));
}

#[test]
fn a_certificate_that_is_not_there_is_found_before_it_is_needed() {
    let document =
        GOOD.replace("\"127.0.0.1:0\"", "\"127.0.0.1:0\", tls: {certificates: [{cert: gone.crt, key: gone.key}]}");
    let (code, printed, _folder) = vestibule(&[("a.yaml", &document)], &["check", "a.yaml"]);
    assert!(code == 1 && printed.starts_with("a.yaml:3:") && printed.contains("gone.crt"), "{printed}");
}

/// Two routes, a policy that lets through and one that answers.
const EXPLAINED: &str = r#"version: 1
listeners:
  public: {bind: "127.0.0.1:0"}
upstreams:
  orders: {targets: ["http://127.0.0.1:9000"]}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies:
      - ip-filter: {deny: [192.0.2.0/24]}
      - request-size: {query: 1KiB}
    operations:
      - match: POST /{id}
  all:
    match: {path: /}
    upstream: orders
"#;

#[test]
fn the_way_of_a_request_is_explained() {
    let (code, printed, _folder) =
        vestibule(&[("a.yaml", EXPLAINED)], &["explain", "a.yaml", "GET", "http://localhost/orders/7"]);
    let printed = without_times(&printed);
    let expected = "\
GET http://localhost/orders/7 from 127.0.0.1

Routes
  lost  POST /orders/{id} of orders: the request lacks the method POST
  won   * /orders/** of orders
  lost  * /** of all: it is less specific

Policies
  access     ip-filter     passes
  access     request-size  passes

Goes to
  GET /orders/7
  upstream orders: 127.0.0.1:9000
";
    assert_eq!((code, printed.as_str()), (0, expected));
}

#[test]
fn an_answer_of_the_gateway_is_explained() {
    let arguments = ["explain", "a.yaml", "GET", "/orders/7", "--from", "192.0.2.1"];
    let (code, printed, _folder) = vestibule(&[("a.yaml", EXPLAINED)], &arguments);
    let printed = without_times(&printed);
    let end = "\
Policies
  access     ip-filter     answers
  access     request-size  not asked

Answer
  403 address-forbidden: Requests from your address are not allowed
";
    assert!(code == 0 && printed.ends_with(end), "{printed}");

    let (_, printed, _folder) = vestibule(&[("a.yaml", EXPLAINED)], &[&arguments[..], &["--json"]].concat());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["answer"]["problem"], "address-forbidden");
    assert_eq!(printed["policies"][1]["verdict"], "not-asked");
    assert_eq!(printed["goes_to"], Value::Null);
}

fn without_times(printed: &str) -> String {
    let line = |line: &str| match line.strip_suffix(" µs").and_then(|line| line.rsplit_once(", ")) {
        Some((line, _)) => format!("{line}\n"),
        None => format!("{line}\n"),
    };
    printed.lines().map(line).collect()
}

#[test]
fn a_hash_of_a_password_is_what_basic_auth_takes() {
    let hash = |password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        let mut child = command
            .arg("hash-password")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };

    let (once, twice) = (hash("open sesame\r\nno part of it"), hash("open sesame"));
    assert!(once.status.success());
    assert_ne!(once.stdout, twice.stdout, "each has a salt of its own");
    let document = format!(
        "{GOOD}upstreams: {{u: {{targets: [\"http://127.0.0.1:1\"]}}}}\napis: {{a: {{match: {{path: /}}, upstream: u, \
         policies: [{{basic-auth: {{users: {{alice: '{}'}}}}}}]}}}}\n",
        String::from_utf8(once.stdout).unwrap().trim()
    );
    let (code, printed, _folder) = vestibule(&[("a.yaml", &document)], &["check", "a.yaml"]);
    assert_eq!((code, printed.contains("no findings")), (0, true), "{printed}");

    let empty = hash("\n");
    assert_eq!(empty.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("the password is empty"));
}
