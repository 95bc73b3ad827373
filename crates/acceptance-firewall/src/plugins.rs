//! Plugins of the Core Rule Set, which stand before and behind its rules, with the rules that Debian ships.

use testkit::{Gateway, Stub};

const DOCUMENT: &str = r#"
upstreams: {backend: {targets: ["http://BACKEND"]}}
apis:
  all:
    match: {path: /}
    upstream: backend
    policies:
      - waf:
          compatibility: lenient
          rules:
            - /etc/modsecurity/crs/crs-setup.conf
            - plugins/*-config.conf
            - plugins/*-before.conf
            - /usr/share/modsecurity-crs/rules/*.conf
            - plugins/*-after.conf
"#;
const CONFIG: &str = r#"
SecRule &TX:pages-plugin_enabled "@eq 0" "id:9500010,phase:1,pass,nolog,setvar:'tx.pages-plugin_enabled=ENABLED'"
"#;
const BEFORE: &str = r#"
SecRule TX:pages-plugin_enabled "@eq 0" "id:9500099,phase:1,pass,nolog,ctl:ruleRemoveById=9500100-9500999"
SecRule REQUEST_FILENAME "@beginsWith /pages/" \
    "id:9500110,phase:1,pass,t:none,t:lowercase,nolog,\
    ctl:ruleRemoveTargetByTag=attack-xss;ARGS:html,\
    ctl:ruleRemoveTargetById=941100;ARGS:title"
SecRule ARGS:pages-forbidden "@rx ." "id:9500120,phase:1,deny,status:418,t:none"
"#;
const AFTER: &str = "SecRuleUpdateTargetByTag \"attack-sqli\" \"!ARGS:note\"\n";

async fn gateway(enabled: &str) -> (Gateway, Stub) {
    let backend = Stub::saying("hello").await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    for (name, content) in [
        ("pages-config.conf", CONFIG.replace("ENABLED", enabled)),
        ("pages-before.conf", BEFORE.to_owned()),
        ("pages-after.conf", AFTER.to_owned()),
    ] {
        std::fs::write(folder.path().join("plugins").join(name), content).unwrap();
    }
    let gateway = Gateway::in_folder(folder, &DOCUMENT.replace("BACKEND", &backend.address.to_string())).await;
    (gateway, backend)
}

async fn status(gateway: &Gateway, target: &str) -> u16 {
    let headers =
        [("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("accept", "text/html"), ("host", "shop.example")];
    gateway.get_with(target, &headers).await.status
}

const SCRIPT: &str = "%3Cscript%3Ealert(1)%3C/script%3E";
const SQL: &str = "1%27%20or%20%271%27=%271";

#[tokio::test]
async fn a_plugin_excludes_values_where_it_says_and_adds_rules_of_its_own() {
    let (gateway, _backend) = gateway("1").await;

    for (target, expected) in [
        ("/pages/1?page=2".to_owned(), 200),
        (format!("/pages/1?html={SCRIPT}"), 200),
        (format!("/other?html={SCRIPT}"), 403),
        (format!("/pages/1?text={SCRIPT}"), 403),
        (format!("/pages/1?note={SQL}"), 200),
        (format!("/pages/1?text={SQL}"), 403),
        ("/pages/1?pages-forbidden=1".to_owned(), 418),
    ] {
        assert_eq!(status(&gateway, &target).await, expected, "{target}");
    }
}

#[tokio::test]
async fn a_plugin_that_is_switched_off_does_nothing() {
    let (gateway, _backend) = gateway("0").await;

    assert_eq!(status(&gateway, &format!("/pages/1?html={SCRIPT}")).await, 403);
    assert_eq!(status(&gateway, "/pages/1?pages-forbidden=1").await, 200);
}
