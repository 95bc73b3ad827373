use proptest::prelude::*;
use serde_json::json;

use super::*;

fn first(program: &str, document: &Value) -> Result<Option<Value>, Failure> {
    Program::compile(program).unwrap_or_else(|mistake| panic!("{program}: {mistake}")).first(document)
}

fn failure(program: &str, document: &Value) -> Failure {
    first(program, document).expect_err(program)
}

#[test]
fn programs_give_what_the_language_says() {
    let document = json!({
        "account": { "id": "A-7", "tier": "Gold", "limits": [3, 1, 2] },
        "users": [{ "n": "b", "on": true, "age": 3 }, { "n": "a", "on": false, "age": 5 }, { "n": "c", "on": true, "age": 3 }],
        "big": 9_007_199_254_740_993_u64, "half": 0.5, "none": null, "text": "a,b,c",
    });
    for (program, expected) in [
        (".account.id", json!("A-7")),
        (".account[\"tier\"] | ascii_downcase", json!("gold")),
        (".missing // \"none\"", json!("none")),
        (".users | map(select(.on) | .n)", json!(["b", "c"])),
        (".users | map(.n) | join(\"+\")", json!("b+a+c")),
        (".users | sort_by(.age, .n) | map(.n)", json!(["b", "c", "a"])),
        (".users | group_by(.age) | map(length)", json!([2, 1])),
        (".users | unique_by(.age) | map(.n)", json!(["b", "a"])),
        (".users | min_by(.age).n, max_by(.age).n", json!("b")),
        (".users | any(.on), all(.on)", json!(true)),
        ("[.users[] | .age] | add", json!(11)),
        (".account.limits | sort, reverse, max", json!([1, 2, 3])),
        ("[.account.limits | first, last, .[1:], .[:-1], .[-1]]", json!([3, 2, [1, 2], [3, 1], 2])),
        ("if .users | length > 2 then \"many\" elif false then 1 else \"few\" end", json!("many")),
        (".big", json!(9_007_199_254_740_993_u64)),
        (".half * 4 + 1", json!(3)),
        ("7 / 2, 8 / 2", json!(3.5)),
        ("[7 % 3, -7 % 3, 1e3, 10 - 3.0]", json!([1, -1, 1000, 7])),
        ("{tier: .account.tier, (\"x\" + \"y\"): 1} * {tier: {a: 1}}", json!({ "tier": { "a": 1 }, "xy": 1 })),
        (".text | split(\",\") | .[1:]", json!(["b", "c"])),
        (".text / \",\" | reverse | join(\"\")", json!("cba")),
        ("\"\\(.account.id)!\"", json!("A-7!")),
        (".account | to_entries | map(.key)", json!(["id", "tier", "limits"])),
        (".account | keys", json!(["id", "limits", "tier"])),
        (".account | with_entries(.value |= type)", json!({ "id": "string", "tier": "string", "limits": "array" })),
        (".account.limits |= map(. * 2) | .account.limits", json!([6, 2, 4])),
        ("del(.account.limits[0]) | .account.limits", json!([1, 2])),
        (".account | has(\"id\"), has(\"no\")", json!(true)),
        ("reduce .users[] as $user (0; . + $user.age)", json!(11)),
        ("[foreach .account.limits[] as $n (0; . + $n)]", json!([3, 4, 6])),
        ("def double: . * 2; .account.limits | map(double)", json!([6, 2, 4])),
        ("[range(3)], [limit(2; repeat(1))]", json!([0, 1, 2])),
        ("[.. | numbers] | length", json!(8)),
        (".users[] as {n: $name, age: $age} | \"\\($name)\\($age)\"", json!("b3")),
        ("try error(\"no\") catch .", json!("no")),
        (".account.id | ltrimstr(\"A-\") | tonumber", json!(7)),
        ("[.account.id | startswith(\"A\"), endswith(\"A\")]", json!([true, false])),
        ("\"{\\\"a\\\": [1]}\" | fromjson | .a | tojson", json!("[1]")),
        ("[[1, [2]], 3] | flatten", json!([1, 2, 3])),
        ("[1.5 | floor, ceil, round]", json!([1, 2, 2])),
        ("[3, null, \"a\", true, {}, [], false] | sort", json!([null, false, true, 3, "a", [], {}])),
        ("\"ab\" * 3, \"ab\" * 0", json!("ababab")),
        ("[.users[].n] | contains([\"a\"])", json!(true)),
        ("[paths] | length > 3", json!(true)),
        (".account.limits | length, (\"äb\" | length)", json!(3)),
    ] {
        assert_eq!(first(program, &document), Ok(Some(expected)), "{program}");
    }
}

#[test]
fn what_gives_nothing_gives_nothing() {
    for program in ["empty", ".users[]", ".a?", "select(.b)", "first(empty)"] {
        assert_eq!(first(program, &json!({ "users": [] })).unwrap().unwrap_or_default(), Value::Null, "{program}");
    }
}

#[test]
fn what_cannot_be_done_is_a_failure_in_words() {
    let document = json!({ "a": "text", "long": "x".repeat(1000) });
    for (program, expected) in [
        (".a.b", "cannot index \"text\" with \"b\""),
        (".a[]", "cannot use \"text\" as iterable"),
        (".a + 1", "cannot calculate \"text\" + 1"),
        ("1 / 0", "cannot calculate 1 / 0"),
        ("error(\"no account\")", "no account"),
        (".a | tonumber", "cannot use \"text\" as number"),
        (".long | tonumber", "xxx…"),
        ("{(1): 2}", "cannot use 1 as string"),
    ] {
        let told = failure(program, &document).to_string();
        assert!(told.contains(expected) && told.len() < 300, "{program}: {told}");
    }
}

#[test]
fn no_program_runs_on_or_makes_what_no_machine_can_hold() {
    let items: Vec<_> = (0..64).collect();
    for program in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: f | f; f",
        "[repeat(1)]",
        "last(repeat(1))",
        "[range(1; 1e12)]",
        "last(range(0; 1; 0))",
        "0 | until(false; . + 1)",
        "[recurse([.])]",
        "reduce range(1e6) as $x (null; [.])",
        "reduce range(300) as $x (null; [.])",
        "reduce .[] as $x (\"x\"; . + .)",
        "reduce .[] as $x ([1]; . + .)",
        "reduce .[] as $x ({a: 1}; {a: ., b: .}) | tojson",
        "\"x\" * 1e12",
        "\"x\" * 1e300 | length",
        "[(.[], .[]) as $a | (.[], .[]) as $b | (.[], .[]) as $c | 1] | length",
        "[limit(1e9; repeat(1))] | length",
        "[.[] | [range(.; 1e5)]] | sort | length",
        "reduce range(20) as $x (.; [., .]) | flatten | length",
        "reduce range(200) as $x ([]; . + [[range(1000)]]) | . == .",
    ] {
        let document = json!(items);
        assert_eq!(first(program, &document), Err(Failure::TooMuch), "{program}");
    }
}

#[test]
fn a_program_of_use_is_far_from_what_it_may_cost() {
    let users: Vec<_> = (0..1000).map(|n| json!({ "n": n, "name": format!("user {n}"), "on": n % 2 == 0 })).collect();
    let document = json!({ "users": users });
    let program = "[.users[] | select(.on) | .name] | sort | map(ascii_upcase) | join(\",\") | length";
    assert_eq!(first(program, &document), Ok(Some(json!(4444))));
}

#[test]
fn nothing_outside_of_the_document_can_be_reached() {
    for program in
        ["$ENV", "env", "input", "inputs", "now", "halt", "halt_error", "debug", "$__loc__", "get_search_list"]
    {
        assert!(Program::compile(program).is_err(), "{program}");
    }
    for program in ["include \"a\"; .", "import \"a\" as a; ."] {
        let mistake = Program::compile(program).unwrap_err();
        assert_eq!(mistake.message, "programs have no modules", "{program}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (program, expected) in [
        (".a | lenght", "line 1, column 6: there is no filter `lenght`"),
        (".a |\n  $b", "line 2, column 3: there is no variable `$b`"),
        (".a | map(.b", "line 1, column 12: expected closing parenthesis"),
        (".a | ]", "line 1, column 6: expected "),
        (".a |", "line 1, column 5: expected term"),
        ("\"a", "line 1, column 3: expected closing quote"),
        ("", "line 1, column 1: expected term"),
    ] {
        let mistake = Program::compile(program).unwrap_err().to_string();
        assert!(mistake.starts_with(expected), "{program}: {mistake}");
    }
    assert!(Program::compile(&"x".repeat(3000)).unwrap_err().message.contains("2048 at most"));
}

#[test]
fn no_program_is_too_deep_to_be_compiled_and_run() {
    for part in [
        "(",
        "[",
        "{a:",
        "-",
        "\"\\(",
        "if ",
        "if . then ",
        "try ",
        "def f: ",
        "reduce ",
        "reduce . as $x (0; ",
        ". as [",
        ".[",
        "..|",
        ".|",
        ".,",
        ".//",
        "1+",
        ".=",
        ".a",
        ".[0]",
        ".?",
        "label $x | ",
        "map(",
        "not|",
        "[.]|",
        "(.)|",
        ". as $x|",
        "f(",
    ] {
        let deep = part.repeat(LONGEST / part.len());
        let more = ["", ".", "1"].map(|end| deep.clone() + end);
        let closed = [("(", "."), ("[", "."), ("-", "1")].map(|(open, middle)| {
            let count = (LONGEST - 1) / 2;
            let close = match open {
                "(" => ")",
                "[" => "]",
                _ => "",
            };
            open.repeat(count) + middle + &close.repeat(count)
        });
        for program in more.iter().chain(&closed) {
            if let Ok(program) = Program::compile(program) {
                drop(program.first(&json!([1, [2]])));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_program_is_run_or_refused(program in "[\\[\\]{}()|.,:a-c0-2 +*/%?$\"-]{0,40}") {
        if let Ok(program) = Program::compile(&program) {
            drop(program.first(&json!({ "a": [1, "x", null], "b": { "c": 0.5 } })));
        }
    }

    #[test]
    fn a_document_goes_through_as_it_is(number: i64, float in -1e300..1e300_f64, text: String) {
        let document = json!({ "z": number, "a": [float, text, { text.clone(): null }] });
        prop_assert_eq!(first(".", &document), Ok(Some(document.clone())));
    }
}
