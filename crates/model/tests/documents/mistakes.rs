//! What operators read when they make mistakes: every finding with its exact place and words.

use model::read::read;
use proptest::prelude::*;

use crate::given::{Given, findings, test_schema};

/// Each document follows a good head of two lines, and has these findings.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "listners: {}",
        &[
            "v.yaml:3:1: /listners: unknown key `listners`; what fits here: `admin`, `store`, `encryption`, `signing`, `certificate_authorities`, `imported_keys`, `workers`, `limits`, `requests`, `trusted_proxies`, `upstreams`, `apis`, `products`, `rooms`, `room_events`, `plans`, `usage`, `webhooks`, `alerts`, `jobs`, `logs`, `tracing`, `diagnostics` and `shutdown`",
        ],
    ),
    ("Upstreams: {}", &["v.yaml:3:1: /Upstreams: unknown key `Upstreams`; did you mean `upstreams`?"]),
    ("workers: 0", &["v.yaml:3:10: /workers: `0` is too small; the least is 1"]),
    ("workers: 2000", &["v.yaml:3:10: /workers: `2000` is too large; the most is 1024"]),
    (r#"workers: "4""#, &[r#"v.yaml:3:10: /workers: `"4"` is text; write it without quotes"#]),
    ("workers: many", &["v.yaml:3:10: /workers: `many` is not a whole number"]),
    ("workers: [4]", &["v.yaml:3:10: /workers: is a list; write a whole number"]),
    ("workers: 1.5", &["v.yaml:3:10: /workers: `1.5` is not a whole number"]),
    (
        "trusted_proxies: 10.0.0.0/8",
        &["v.yaml:3:18: /trusted_proxies: `10.0.0.0/8` is not a list; write `[10.0.0.0/8]`"],
    ),
    (
        "trusted_proxies: [10.0.0.0/8, 10.0.0/8, 5]",
        &[
            "v.yaml:3:31: /trusted_proxies/1: `10.0.0/8` is not a network, such as `10.0.0.0/8` or `2001:db8::/32`",
            "v.yaml:3:41: /trusted_proxies/2: `5` is not a network, such as `10.0.0.0/8` or `2001:db8::/32`",
        ],
    ),
    (
        "trusted_proxies: [{a: b}]",
        &["v.yaml:3:19: /trusted_proxies/0: is a map; write a network, such as `10.0.0.0/8` or `2001:db8::/32`"],
    ),
    (
        "limits: {head_time: 10}",
        &["v.yaml:3:21: /limits/head_time: `10` has no unit; write a span of time such as `250ms`, `5s` or `1h30m`"],
    ),
    (
        "limits: {head_time: 5 years}",
        &[
            "v.yaml:3:21: /limits/head_time: `years` is no unit here; write a span of time such as `250ms`, `5s` or `1h30m`",
        ],
    ),
    (
        "limits: {head_time: 5s1h}",
        &[
            "v.yaml:3:21: /limits/head_time: `5s1h` names its units out of order; write a span of time such as `250ms`, `5s` or `1h30m`",
        ],
    ),
    (
        "plans: {a: {monthly: 5, charges: [{meter: call, price: 0.002}]}}",
        &[
            "v.yaml:3:22: /plans/a/monthly: `5` has no currency; write an amount such as `49 EUR` or `0.002 EUR`",
            "v.yaml:3:43: /plans/a/charges/0/meter: `call` is not known here; did you mean `calls`?",
            "v.yaml:3:56: /plans/a/charges/0/price: `0.002` has no currency; write an amount such as `49 EUR` or `0.002 EUR`",
        ],
    ),
    (
        "limits: {min_rate: 64k}",
        &["v.yaml:3:20: /limits/min_rate: `k` is no unit here; write a size such as `64KiB` or `1MB`"],
    ),
    (
        "limits: {body_bytes: 99999999999999999999MB}",
        &["v.yaml:3:22: /limits/body_bytes: `99999999999999999999MB` is too large"],
    ),
    ("limits: {headers: -1}", &["v.yaml:3:19: /limits/headers: `-1` is too small; the least is 0"]),
    (
        "limits: {headers: 4294967296}",
        &["v.yaml:3:19: /limits/headers: `4294967296` is too large; the most is 4294967295"],
    ),
    ("limits: {headers: true}", &["v.yaml:3:19: /limits/headers: `true` is not a whole number"]),
    ("limits: {header: 5}", &["v.yaml:3:10: /limits/header: unknown key `header`; did you mean `headers`?"]),
    ("limits: []", &["v.yaml:3:9: /limits: is a list; write a map"]),
    ("upstreams: {a: }", &["v.yaml:3:13: /upstreams/a: is empty; write a map with `targets`"]),
    (
        "upstreams: {a: {}}",
        &["v.yaml:3:16: /upstreams/a: `targets` is missing: Where requests go: URLs of scheme, host and port"],
    ),
    ("upstreams: {a: {targets: []}}", &["v.yaml:3:26: /upstreams/a/targets: is too short; write at least one entry"]),
    (
        r#"upstreams: {a: {targets: "http://x"}}"#,
        &["v.yaml:3:26: /upstreams/a/targets: `http://x` is not a list; write `[http://x]`"],
    ),
    (
        "upstreams: {a: {targets: [7]}}",
        &[r#"v.yaml:3:27: /upstreams/a/targets/0: `7` is not text; put it in quotes: `"7"`"#],
    ),
    (
        "upstreams: {a: {targets: [{url: x, weight: 1001}]}}",
        &["v.yaml:3:44: /upstreams/a/targets/0/weight: `1001` is too large; the most is 1000"],
    ),
    (
        "upstreams: {a: {targets: [{url: x, wieght: 1}]}}",
        &["v.yaml:3:36: /upstreams/a/targets/0/wieght: unknown key `wieght`; did you mean `weight`?"],
    ),
    (
        "upstreams: {a: {targets: [x], balance: round-robbin}}",
        &["v.yaml:3:40: /upstreams/a/balance: `round-robbin` is not known here; did you mean `round-robin`?"],
    ),
    (
        "upstreams: {a: {targets: [x], balance: best}}",
        &["v.yaml:3:40: /upstreams/a/balance: `best` is not known here; write `round-robin` or `least-request`"],
    ),
    (
        "upstreams: {a: {targets: [x], balance: {hsh: address}}}",
        &["v.yaml:3:41: /upstreams/a/balance/hsh: unknown key `hsh`; did you mean `hash`?"],
    ),
    (
        "upstreams: {a: {targets: [x], balance: {hash: {header: x, cookie: y}}}}",
        &[
            "v.yaml:3:59: /upstreams/a/balance/hash/cookie: `cookie` cannot stand beside `header`; leave one of them out",
        ],
    ),
    (
        "upstreams: {a: {targets: [x], balance: {hash: {}}}}",
        &["v.yaml:3:47: /upstreams/a/balance/hash: is empty; write one of `header` or `cookie`"],
    ),
    (
        "upstreams: {a: {targets: [x], host: {fixed: [a]}}}",
        &["v.yaml:3:45: /upstreams/a/host/fixed: is a list; write text"],
    ),
    (
        "upstreams: {a: {targets: [x], http: 2}}",
        &[r#"v.yaml:3:37: /upstreams/a/http: `2` is not text; put it in quotes: `"2"`"#],
    ),
    (
        "upstreams: {a: {targets: [x], bind: 10.0.0}}",
        &["v.yaml:3:37: /upstreams/a/bind: `10.0.0` is not an address, such as `10.0.0.5` or `2001:db8::5`"],
    ),
    (
        "upstreams: {a: {targets: [x], retries: {budget: 120%, statuses: [70000]}}}",
        &[
            "v.yaml:3:49: /upstreams/a/retries/budget: `120%` is not a share; write a share from `0%` to `100%`",
            "v.yaml:3:66: /upstreams/a/retries/statuses/0: `70000` is too large; the most is 65535",
        ],
    ),
    (
        "upstreams: {a: {targets: [x], timeouts: {total: forever}}}",
        &[
            "v.yaml:3:49: /upstreams/a/timeouts/total: `forever` does not begin with a whole number; write a span of time such as `250ms`, `5s` or `1h30m`",
        ],
    ),
    ("apis: {a: {}}", &["v.yaml:3:11: /apis/a: `match` is missing: The requests that belong to it"]),
    ("apis: {a: {match: /}}", &["v.yaml:3:19: /apis/a/match: `/` is not a map with `path` or a list"]),
    (
        "apis: {a: {match: {path: 5}}}",
        &[r#"v.yaml:3:26: /apis/a/match/path: `5` is not text; put it in quotes: `"5"`"#],
    ),
    (
        "apis: {a: {match: {path: {exakt: /}}}}",
        &["v.yaml:3:27: /apis/a/match/path/exakt: unknown key `exakt`; did you mean `exact`?"],
    ),
    (
        "apis: {a: {match: {path: {exact: /a, prefix: /b}}}}",
        &["v.yaml:3:38: /apis/a/match/path/prefix: `prefix` cannot stand beside `exact`; leave one of them out"],
    ),
    (
        "apis: {a: {match: {path: /, method: 1}}}",
        &[r#"v.yaml:3:37: /apis/a/match/method: `1` is not text; put it in quotes: `"1"`"#],
    ),
    ("apis: {a: {match: [{path: /}, {host: x}]}}", &["v.yaml:3:31: /apis/a/match/1: `path` is missing: The path"]),
    (
        r#"apis: {a: {match: {path: /}, upstream: [{upstream: b, weight: "3"}]}}"#,
        &[r#"v.yaml:3:63: /apis/a/upstream/0/weight: `"3"` is text; write it without quotes"#],
    ),
    (
        "apis: {a: {match: {path: /}, upstream: {name: b}}}",
        &["v.yaml:3:40: /apis/a/upstream: is a map; write text or a list"],
    ),
    (
        "apis: {a: {match: {path: /}, forwarded: x-forward}}",
        &["v.yaml:3:41: /apis/a/forwarded: `x-forward` is not known here; did you mean `x-forwarded`?"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: {quota: {}}}}",
        &["v.yaml:3:40: /apis/a/policies: is a map; write a list"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [quota]}}",
        &["v.yaml:3:41: /apis/a/policies/0: `quota` is a key; write `quota:` with its settings"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{api-kye: {}}]}}",
        &["v.yaml:3:42: /apis/a/policies/0/api-kye: unknown key `api-kye`; did you mean `api-key`?"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{waf: {}}]}}",
        &[
            "v.yaml:3:42: /apis/a/policies/0/waf: unknown key `waf`; what fits here: `when`, `on_failure`, `api-key` and `quota`",
        ],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{api-key: {}, quota: {rate: 1/s}}]}}",
        &["v.yaml:3:55: /apis/a/policies/0/quota: `quota` cannot stand beside `api-key`; begin it with `-`"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{when: x}]}}",
        &["v.yaml:3:41: /apis/a/policies/0: one key is missing: `api-key` or `quota`"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{quota: }]}}",
        &["v.yaml:3:42: /apis/a/policies/0/quota: is empty; write a map with `rate`"],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{quota: {rate: 5}}]}}",
        &[
            "v.yaml:3:56: /apis/a/policies/0/quota/rate: `5` has no unit; write a rate such as `100/s`, `10/m` or `500/15m`",
        ],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{quota: {rate: 0/s}, on_failure: opne}]}}",
        &[
            "v.yaml:3:56: /apis/a/policies/0/quota/rate: `0/s` lets nothing pass; write a rate such as `100/s`, `10/m` or `500/15m`",
            "v.yaml:3:74: /apis/a/policies/0/on_failure: `opne` is not known here; did you mean `open`?",
        ],
    ),
    (
        "apis: {a: {match: {path: /}, policies: [{api-key: {headr: x}, when: 5}]}}",
        &[
            "v.yaml:3:52: /apis/a/policies/0/api-key/headr: unknown key `headr`; did you mean `header`?",
            r#"v.yaml:3:69: /apis/a/policies/0/when: `5` is not text; put it in quotes: `"5"`"#,
        ],
    ),
    (
        "apis: {a/b: {match: {path: /}, polices: []}}",
        &["v.yaml:3:32: /apis/a~1b/polices: unknown key `polices`; did you mean `policies`?"],
    ),
    (
        "products: {gold: {operations: [], quota: {requests: many, per: decade}}}",
        &[
            "v.yaml:3:31: /products/gold/operations: is too short; write at least one entry",
            "v.yaml:3:53: /products/gold/quota/requests: `many` is not a whole number",
            "v.yaml:3:64: /products/gold/quota/per: `decade` is not known here; write `minute`, `hour`, `day`, `week`, `month` or `year`",
        ],
    ),
    ("logs: [{fil: {path: x}}]", &["v.yaml:3:9: /logs/0/fil: unknown key `fil`; did you mean `file`?"]),
    ("logs: [{file: {}}]", &["v.yaml:3:15: /logs/0/file: `path` is missing: The file; lines are added to its end"]),
    ("logs: [stdout]", &["v.yaml:3:8: /logs/0: `stdout` is a key; write `stdout:` with its settings"]),
    (
        "logs: [{stdout: {format: xml}}]",
        &["v.yaml:3:26: /logs/0/stdout/format: `xml` is not known here; write `json` or `combined`"],
    ),
    ("tracing: {otlp: x, sample: 2}", &["v.yaml:3:28: /tracing/sample: `2` is too large; the most is 1"]),
    (
        r#"tracing: {otlp: x, sample: "${env:FOUR}"}"#,
        &["v.yaml:3:28: /tracing/sample: `${env:FOUR}` is too large; the most is 1"],
    ),
    (
        r#"tracing: {otlp: "${env:NOPE}"}"#,
        &["v.yaml:3:17: /tracing/otlp: `${env:NOPE}` has no value: the variable is not set"],
    ),
    (
        r#"tracing: {otlp: "${file:nope}", service: "${evn:X}"}"#,
        &[
            "v.yaml:3:17: /tracing/otlp: `${file:nope}` has no value: no such file",
            "v.yaml:3:33: /tracing/service: `${evn:` is no reference; did you mean `${env:`?",
        ],
    ),
    (
        r#"tracing: {otlp: "${HOST}", service: "${env:X"}"#,
        &[
            "v.yaml:3:11: /tracing/otlp: `${HOST}` is no reference; write `${env:NAME}` or `${file:PATH}`, or `$${` for the characters themselves",
            "v.yaml:3:28: /tracing/service: `${` has no `}`; write `$${` for the characters themselves",
        ],
    ),
    (
        "diagnostics: {level: trace, format: JSON}",
        &[
            "v.yaml:3:22: /diagnostics/level: `trace` is not known here; write `error`, `warn`, `info` or `debug`",
            "v.yaml:3:37: /diagnostics/format: `JSON` is not known here; did you mean `json`?",
        ],
    ),
    ("store: ${env:SECRET}", &["v.yaml:3:8: /store: what `${env:SECRET}` stands for does not fit; write a map"]),
    ("workers: 1\nworkers: 2", &["v.yaml:4:1: /workers: `workers` is written twice, first in line 3"]),
    (
        "limits:\n  head_time: 5s\n  head_time: 6s",
        &["v.yaml:5:3: /limits/head_time: `head_time` is written twice, first in line 4"],
    ),
    ("upstreams:\n  80: {targets: [x]}", &[r#"v.yaml:4:3: /upstreams/80: a key is a text; write `"80"`"#]),
    (
        "upstreams:\n  ? [a]\n  : {targets: [x]}",
        &[
            "v.yaml:4:5: /upstreams: a key is a text, not a map or a list; put a text that begins with a bracket in quotes",
        ],
    ),
    ("limits:\n  <<: {headers: 5}", &["v.yaml:4:3: /limits: merge keys are not read; write the keys out"]),
    (
        "workers: !!int 4",
        &["v.yaml:3:10: /workers: tags are not read; leave it out, and put a text that looks like a number in quotes"],
    ),
    ("limits: &a {headers: *a}", &["v.yaml:3:22: /limits/headers: the alias stands inside of what it names"]),
    (
        "admin:\n  bind: 127.0.0.1\n  tls: {certificates: [{cert: a}]}",
        &[
            "v.yaml:4:9: /admin/bind: `127.0.0.1` is not an address with a port, such as `0.0.0.0:8080` or `[::]:8443`",
            "v.yaml:5:24: /admin/tls/certificates/0: `key` is missing: The private key, PEM",
        ],
    ),
    (
        "shutdown: {drain: null}",
        &["v.yaml:3:19: /shutdown/drain: `null` is not a span of time such as `250ms`, `5s` or `1h30m`"],
    ),
];

#[test]
fn every_mistake_is_found_at_its_place_with_what_to_write_instead() {
    for (written, expected) in MISTAKES {
        let text = format!("version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n{written}");
        assert_eq!(findings(&text), *expected, "{written}");
    }
}

#[test]
fn mistakes_in_the_head_are_found_too() {
    let whole: &[(&str, &[&str])] = &[
        ("", &["v.yaml:1:1: is empty; begin with `version: 1` and `listeners:`"]),
        ("# nothing\n", &["v.yaml:1:1: is empty; begin with `version: 1` and `listeners:`"]),
        ("version: 1\n", &["v.yaml:1:1: `listeners` is missing: Where clients connect"]),
        (
            r#"version: "1"
listeners: {}
"#,
            &[r#"v.yaml:1:10: /version: `"1"` is text; write it without quotes"#],
        ),
        (
            "version: 2\nlisteners: {public: {}}\n",
            &[
                "v.yaml:1:10: /version: `2` is not known here; write `1`",
                "v.yaml:2:21: /listeners/public: `bind` is missing: Address and port, such as `0.0.0.0:8080` or `[::]:8443`",
            ],
        ),
        ("5\n", &["v.yaml:1:1: `5` is not a map with `version` and `listeners`"]),
        ("[]\n", &["v.yaml:1:1: is a list; write a map with `version` and `listeners`"]),
        (
            "version: 1\nlisteners: {public: {bind: localhost:80}}\n",
            &[
                "v.yaml:2:28: /listeners/public/bind: `localhost:80` is not an address with a port, such as `0.0.0.0:8080` or `[::]:8443`",
            ],
        ),
        (
            r#"version: 1
listeners: {public: {bind: "127.0.0.1:80", tls: {certificates: [], min_version: 1.2}}}
"#,
            &[
                "v.yaml:2:64: /listeners/public/tls/certificates: is too short; write at least one entry",
                r#"v.yaml:2:81: /listeners/public/tls/min_version: `1.2` is not text; put it in quotes: `"1.2"`"#,
            ],
        ),
        (
            "version: 1\nlisteners: {public: {bind: 127.0.0.1:80, proxy_protocol: requird, http2: yes}}\n",
            &[
                "v.yaml:2:58: /listeners/public/proxy_protocol: `requird` is not known here; did you mean `required`?",
                "v.yaml:2:74: /listeners/public/http2: `yes` is not known here; write `on` or `off`",
            ],
        ),
        ("version: 1\nlisteners: {}\n---\nversion: 1\n", &["v.yaml:3:1: a second document begins; a file holds one"]),
    ];
    for (text, expected) in whole {
        assert_eq!(findings(text), *expected, "{text}");
    }
}

#[test]
fn ten_mistakes_give_ten_findings() {
    let text = r#"version: 2
listeners:
  public: {bind: "0.0.0.0"}
  public: {}
workers: 0
trusted_proxies: [10.0.0.0/33]
upstreams:
  orders: {targets: ["http://x"], balance: rand, retries: {budget: 120%}}
apis:
  orders:
    match: {path: /, methd: GET}
    policies:
      - api-kye: {header: x}
tracing: {otlp: "${env:NOPE}"}
"#;
    let findings = findings(text);
    assert_eq!(findings.len(), 10, "{findings:#?}");
}

#[test]
fn a_syntax_mistake_says_where() {
    let cases: &[(&str, &str)] = &[
        (
            "a: b: c\n",
            "v.yaml:1:5: is not YAML: a key begins a line of its own, and a text with `: ` in it stands in quotes",
        ),
        ("a:\n	- b\n", "v.yaml:2:1: /a: a tab indents; write spaces"),
        ("a:\n  - b\n c: d\n", "v.yaml:3:2: is not YAML: this line is not indented like its neighbours"),
        (
            "a:\r\n  - b\u{c}# c\n",
            "v.yaml:2:6: the control character U+000C stands here; in double quotes write \\u000c",
        ),
        ("a: b\rc: d\n", "v.yaml:1:5: the control character U+000D stands here; in double quotes write \\u000d"),
        ("a: [b\n", "v.yaml:2:1: /a/1: is not YAML: a comma is missing before this, or a bracket is not closed"),
        (
            r#"a: "b
"#,
            "v.yaml:1:4: /a: is not YAML: a quote is not closed",
        ),
        ("a: {b: ${env:X}}\n", "v.yaml:1:9: /a: is not YAML: inside of brackets, put texts with `${…}` in quotes"),
        ("a: @b\n", "v.yaml:1:4: /a: is not YAML: a text that begins with this character stands in quotes"),
        ("a: *b\n", "v.yaml:1:4: /a: is not YAML: the alias names nothing that stands above it"),
        ("a: %b\n", "v.yaml:1:4: /a: is not YAML: a text that begins with this character stands in quotes"),
        ("- a\nb: c\n", "v.yaml:2:1: /1: is not YAML: this line is not indented like its neighbours, or lacks a `-`"),
        (
            "a: b\n  c: d\n",
            "v.yaml:2:4: is not YAML: a key begins a line of its own, and a text with `: ` in it stands in quotes",
        ),
        ("a: `b\n", "v.yaml:1:4: /a: is not YAML: a text that begins with this character stands in quotes"),
        ("a:\n  b\nc\n", "v.yaml:4:1: is not YAML: a key has no `:`"),
        ("a: ]\n", "v.yaml:1:4: /a: is not YAML: a bracket is closed that was not opened"),
    ];
    for (text, expected) in cases {
        assert_eq!(findings(text), [*expected], "{text}");
    }
}

#[test]
fn aliases_cannot_grow_a_document_beyond_a_limit() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let first = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let others =
        names.windows(2).map(|pair| format!("{0}: &{0} [{1}]\n", pair[1], format!("*{}, ", pair[0]).repeat(10)));
    let text: String = std::iter::once(first).chain(others).collect();
    let findings = findings(&text);
    assert!(
        findings.iter().any(|finding| finding.contains("aliases copy more than 100000 keys and values")),
        "{findings:?}"
    );
}

#[test]
fn depth_has_a_limit() {
    let text = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        findings(&text),
        [format!("v.yaml:1:67: /a{}: stands deeper than the 64 levels that are read", "/0".repeat(63))]
    );
}

#[test]
fn secrets_do_not_appear_in_findings() {
    for written in [
        "workers: ${env:SECRET}",
        "trusted_proxies: [\"${env:SECRET}\"]",
        "store: ${env:SECRET}",
        "store: {embedded: x, ${env:SECRET}: y}",
        "limits: {head_time: \"${env:SECRET}\", min_rate: \"5${env:SECRET}\"}",
        "upstreams: {a: {targets: [x], balance: \"${env:SECRET}\", http: \"${env:SECRET}\"}}",
        "upstreams: {a: {targets: [{url: \"${env:SECRET}\", weight: \"${env:SECRET}\"}], bind: \"${env:SECRET}\"}}",
        "apis: {a: {match: {path: /}, policies: [{quota: {rate: \"${env:SECRET}\"}}]}}",
        "apis: {a: {match: {path: /}, policies: [\"${env:SECRET}\"]}}",
        "apis: {a: {match: \"${env:SECRET}\"}}",
        "tracing: {otlp: x, sample: \"${env:SECRET}\"}",
    ] {
        let text = format!("version: 1\nlisteners: {{public: {{bind: \"${{env:SECRET}}\"}}}}\n{written}");
        let findings = findings(&text);
        assert!(findings.len() > 1 || written.contains("y}"), "{findings:#?}");
        assert!(!findings.iter().any(|finding| finding.contains("swordfish")), "{findings:#?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text: String) {
        drop(read(&text, "v.yaml", test_schema(), &Given));
    }

    #[test]
    fn any_text_that_looks_like_yaml_is_read_or_refused_without_a_panic(
        lines in prop::collection::vec("( |\t){0,6}(- |\\? )?(apis|version|upstreams|a|\\$\\{env:A\\}|&a|\\*a|!t|<<|\"|'|\\||>|#)?:? ?(\\{|\\[|\\]|\\}|,|x|1|~|\"|'|: |- |\\||>-|&a|\\*a|é|\u{feff}|---|%){0,5}", 0..12),
    ) {
        drop(read(&lines.join("\n"), "v.yaml", test_schema(), &Given));
    }

    #[test]
    fn a_good_document_with_a_piece_cut_out_is_read_or_refused_without_a_panic(from in 0_usize..2000, length in 0_usize..40) {
        let text = include_str!("../../../../examples/balancing.yaml");
        let kept = |(index, _): &(usize, char)| *index < from || *index >= from + length;
        let text: String = text.chars().enumerate().filter(kept).map(|(_, letter)| letter).collect();
        drop(read(&text, "v.yaml", test_schema(), &Given));
    }
}
