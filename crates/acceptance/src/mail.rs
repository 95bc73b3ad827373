//! Notices of alerts as mail, at a real mail server.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Authority, Gateway, Stub, eventually};
use tokio::process::{Child, Command};

/// A server of SMTP, which takes mail by STARTTLS from whoever gives the password, and writes each as a line of JSON.
const SERVER: &str = r#"
import asyncio, email, json, ssl, sys
from email import policy
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

out, certificate, key = sys.argv[1:4]

class Writing:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        line = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": message["subject"],
            "id": message["message-id"], "automatic": message["auto-submitted"], "text": message.get_content(),
            "tls": session.ssl is not None, "user": session.auth_data.decode() if session.auth_data else None,
        }
        with open(out, "a") as file:
            file.write(json.dumps(line) + "\n")
        return "250 thanks"

def authenticator(server, session, envelope, mechanism, data):
    good = data.login == b"gateway" and data.password == b"s3cret"
    return AuthResult(success=good, handled=False, auth_data=data.login)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
controller = Controller(
    Writing(), hostname="127.0.0.1", port=int(sys.argv[4]), tls_context=context, require_starttls=True,
    auth_required=True, authenticator=authenticator,
)
controller.start()
asyncio.new_event_loop().run_forever()
"#;

/// The mail server, and the port that it was given.
fn server(folder: &Path, authority: &Authority) -> (Child, u16) {
    let (certificate, key) = authority.sign(&["127.0.0.1"]).write(folder, "mail");
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("server.py"), SERVER).unwrap();
    // Nobody takes a port between two processes of one machine that was free a moment ago and is bound with SO_REUSEADDR.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new("/usr/bin/python3");
    command.arg(folder.join("server.py")).arg(folder.join("out")).arg(certificate).arg(key).arg(port.to_string());
    (
        command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("`cargo xtask test` installs what this needs"),
        port,
    )
}

fn mails(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("out")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn document(folder: &Path, port: u16, password: &str) -> String {
    let ca = folder.join("ca.pem");
    format!(
        "store: {{embedded: ./data}}
upstreams: {{crm: {{targets: [\"http://BACKEND\"], retries: {{attempts: 0}}, ejection: {{failures: 0}}, breaker: {{failures: 0}}}}}}
apis: {{orders: {{match: {{path: /orders}}, upstream: crm}}, bills: {{match: {{path: /bills}}, upstream: crm}}}}
alerts:
  to:
    people:
      mail: {{server: \"127.0.0.1:{port}\", from: Gateway <gateway@example.com>, to: [ops@example.com, Ann <ann@example.com>],
             user: gateway, password: {password}, ca: {}}}
  usual: off
  calm: 1s
  rules: [{{failures: {{reach: 1/1m}}}}]
",
        ca.display()
    )
}

#[tokio::test]
async fn people_get_one_mail_about_all_that_is_wrong_over_tls_and_another_one_when_it_is_over() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::default());
    let (_server, port) = server(folder.path(), &authority);
    eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let backend = Stub::answering("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let document = document(folder.path(), port, "s3cret");
    let gateway = Gateway::with(&backend, &document).await;

    assert_eq!(gateway.get("/orders/7").await.status, 500);
    assert_eq!(gateway.get("/bills/7").await.status, 500);

    let is_told = |word: &str| {
        let texts: String = mails(folder.path()).iter().map(|mail| mail["text"].as_str().unwrap().to_owned()).collect();
        texts.matches(word).count()
    };
    eventually("both are open", || is_told("ERROR") == 2).await;
    eventually("both are over", || is_told("OVER") == 2).await;
    let mails = mails(folder.path());
    for mail in &mails {
        assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"gateway".into()));
        assert_eq!(mail["to"], serde_json::json!(["ops@example.com", "ann@example.com"]));
        assert_eq!(mail["automatic"], "auto-generated");
        assert!(mail["subject"].as_str().unwrap().starts_with("[vestibule] "), "{mail}");
    }
    let text = mails[0]["text"].as_str().unwrap();
    assert!(text.contains("fail: status-500 from upstream `crm`") && text.contains("to do     Look for"), "{text}");
}

#[tokio::test]
async fn a_server_that_refuses_the_password_is_told_nothing_and_the_reason_is_shown() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::default());
    let (_server, port) = server(folder.path(), &authority);
    eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let backend = Stub::saying("hello").await;
    let alerts = |gateway: &Gateway| gateway.node().keeping.as_ref().unwrap().alerts.clone();

    let gateway = Gateway::with(&backend, &document(folder.path(), port, "wrong")).await;
    let refused = alerts(&gateway).test("people").await.unwrap().unwrap_err();
    assert!(refused.contains("535"), "{refused}");

    // Nor one whose certificate somebody else signed.
    std::fs::write(folder.path().join("ca.pem"), Authority::default().pem()).unwrap();
    let gateway = Gateway::with(&backend, &document(folder.path(), port, "s3cret")).await;
    let refused = alerts(&gateway).test("people").await.unwrap().unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    assert!(mails(folder.path()).is_empty());
}
