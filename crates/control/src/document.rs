//! Documents as this build understands them: with the settings of its policies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use firewall::Waf;
use limits::Plans;
use model::Document;
use model::alerts::{AlertReceiver, AlertSentry, AlertWebhook};
use model::document::Admin;
use model::jobs::JobAction;
use model::listener::Switch;
use model::logs::LogSink;
use model::read::{Known, Machine, References, Source, Wrong, read_or_rest};
use model::room_events::RoomEventTarget;
use model::upstream::ClientTls;
use model::usage::EventSink;
use partners::{Index, Pepper};
use pipeline::{Kept, Policy, Services};
use policies::CATALOG;
use policies::backend_token::Signers;
use policies::outside::{Background, NoBackground};
use policies::revocation_list::Revocations;
use policies::waiting_room_api::WaitingRooms;
use problem::{Finding, Place, Pointer};
use serde_json::Value;
use snapshot::{Checked, Lent, Snapshot};

use crate::authorities::{self, NamedAuthorities};
use crate::collector::Collector;
use crate::events;
use crate::keeping::IndexedPlans;
use crate::rooms::NamedRooms;
use crate::signers::NamedSigners;

/// A document, where each part of it is written, and what names its content.
pub struct Configuration {
    /// The document.
    pub document: Arc<Document>,
    /// Where each part of it is written.
    pub source: Source,
    /// SHA-256 over the document as it was understood, references included.
    pub hash: String,
}

/// The JSON Schema of documents for this build.
pub fn schema() -> Value {
    model::schema::schema(CATALOG.iter().map(|entry| (entry.name, (entry.schema)())))
}

impl Configuration {
    /// Reads a file. One that cannot be opened is a finding like any other.
    pub fn open(file: &Path) -> Result<Self, Vec<Finding>> {
        Self::read(&text(file)?, file)
    }

    /// Reads what says where a file's gateway is and what opens it, `admin` and `store`: whatever else is wrong with the
    /// file, a gateway may serve what was there before. Nothing else of this document is to be looked at.
    pub fn whereabouts(file: &Path) -> Result<Document, Vec<Finding>> {
        let read = read_or_rest(&text(file)?, &file.display().to_string(), &schema(), &Machine::beside(file));
        let mut document = match read {
            Ok((document, _)) => document,
            Err(Wrong { findings, rest: None }) => return Err(findings),
            Err(Wrong { findings, rest: Some(rest) }) => {
                let root = Pointer::default();
                if ["admin", "store"].iter().any(|section| rest.is_doubtful(&root.at(section))) {
                    return Err(findings);
                }
                rest.document
            }
        };
        anchor(&mut document, file);
        Ok(document)
    }

    /// Reads a text as if it stood in `file`: what it refers to is looked for beside it.
    pub fn read(text: &str, file: &Path) -> Result<Self, Vec<Finding>> {
        Self::resolved(text, file, &Machine::beside(file))
    }

    /// Reads a text that somebody sent, as [`Self::read`] does. It gets no value out of this machine that the document
    /// which serves does not use already.
    pub fn sent(text: &str, file: &Path, serving: &Self) -> Result<Self, Vec<Finding>> {
        Self::resolved(text, file, &Known::of(&serving.source, Machine::beside(file)))
    }

    fn resolved(text: &str, file: &Path, from: &impl References) -> Result<Self, Vec<Finding>> {
        let read = read_or_rest(text, &file.display().to_string(), &schema(), from);
        let (mut document, source) = read.map_err(|wrong| everything(wrong, file))?;
        let understood = serde_json::to_vec(&document).unwrap_or_default();
        let hash = hexadecimal(digest(&SHA256, &understood).as_ref());
        anchor(&mut document, file);
        Ok(Self { document: Arc::new(document), source, hash })
    }
}

fn text(file: &Path) -> Result<String, Vec<Finding>> {
    std::fs::read_to_string(file).map_err(|error| {
        let place = Place { file: file.display().to_string(), line: 1, column: 1 };
        let message = format!("cannot be read: {error}");
        vec![Finding { at: Pointer::default(), place: Some(place), message }]
    })
}

/// Everything that is wrong with a document which can be known without serving it, and what else is to be known of it.
pub fn check(configuration: &Configuration) -> Checked {
    let mut checked = look_at(&configuration.document, &|_| false);
    configuration.source.tidy(&mut checked.findings);
    configuration.source.tidy(&mut checked.remarks);
    checked
}

/// What was found while a document was about to be served, together with everything else that is wrong with it.
pub(crate) fn and_the_rest(configuration: &Configuration, mut found: Vec<Finding>) -> Vec<Finding> {
    found.extend(check(configuration).findings);
    configuration.source.tidy(&mut found);
    found
}

/// What reading has found, and what compiling the rest finds beyond it.
fn everything(wrong: Wrong, file: &Path) -> Vec<Finding> {
    let Wrong { mut findings, rest } = wrong;
    let Some(mut rest) = rest else { return findings };
    anchor(&mut rest.document, file);
    let more = look_at(&rest.document, &|at| rest.is_doubtful(at));
    findings.extend(rest.keep_new(more.findings));
    rest.source.tidy(&mut findings);
    findings
}

/// What is to be said of a document, unless it follows from a part that is doubtful.
fn look_at(document: &Document, is_doubtful: &dyn Fn(&Pointer) -> bool) -> Checked {
    let lent = lent_for_checking(document, is_doubtful);
    let Checked { mut findings, remarks } = Snapshot::check(document, &lent, is_doubtful);
    for (name, listener) in &document.listeners {
        let at = Pointer::default().at("listeners").at(name).at("tls");
        let tls = listener.tls.as_ref().map(authorities::without_unmade);
        if let Some(Err(found)) = tls.map(|tls| proxy::tls::load(&tls, listener.http2, &at)) {
            findings.extend(found);
        }
    }
    findings.extend(crate::signers::check(document));
    findings.extend(crate::backends::check(document));
    findings.extend(authorities::check(document));
    findings.extend(crate::rooms::check(document));
    findings.extend(check_peppers(document));
    if let Err(found) = crate::keeping::products(document, is_doubtful) {
        findings.extend(found);
    }
    if let Err(found) = billing::plans(document, is_doubtful) {
        findings.extend(found);
    }
    if let Err(found) = events::exports(document) {
        findings.extend(found);
    }
    findings.extend(crate::room_events::check(document));
    if let Err(found) = alerts::compile(document, is_doubtful) {
        findings.extend(found);
    }
    if let Err(found) = crate::receivers::receivers(document) {
        findings.extend(found);
    }
    if let Err(found) = jobs::compile(document, is_doubtful) {
        findings.extend(found);
    }
    if let Some(admin) = &document.admin {
        findings.extend(check_admin(admin));
        findings.extend(check_token_file(document, admin, is_doubtful));
    }
    if let Some(Err(found)) = document.tracing.as_ref().map(Collector::of) {
        findings.extend(found);
    }
    if let Err(found) = crate::observing::plans(document) {
        findings.extend(found);
    }
    Checked { findings, remarks }
}

/// What is wrong with the peppers of imported keys.
fn check_peppers(document: &Document) -> Vec<Finding> {
    let at = Pointer::default().at("imported_keys").at("peppers");
    let wrong = document.imported_keys.peppers.iter().filter(|(_, pepper)| partners::pepper_bytes(pepper).is_none());
    let message = "is no pepper: a text, or `base64:` and bytes in base64";
    wrong.map(|(name, _)| Finding::new(&at.at(name), message)).collect()
}

/// What is wrong with the admin listener. Whoever is not on this machine must not read the token on its way.
fn check_admin(admin: &Admin) -> Vec<Finding> {
    let at = Pointer::default().at("admin");
    match &admin.tls {
        Some(tls) => proxy::tls::load(tls, Switch::Off, &at.at("tls")).err().unwrap_or_default(),
        None if admin.bind.ip().to_canonical().is_loopback() => Vec::new(),
        None => {
            let message = format!("needs `tls`, because {} is no loopback address; or bind 127.0.0.1", admin.bind);
            vec![Finding::new(&at, message)]
        }
    }
}

/// Says that nobody could speak with the admin listener, for its token would be nowhere.
fn check_token_file(document: &Document, admin: &Admin, is_doubtful: &dyn Fn(&Pointer) -> bool) -> Option<Finding> {
    let root = Pointer::default();
    let is_kept = admin.token_file.is_some() || document.store.is_some() || is_doubtful(&root.at("store"));
    let message = "needs `token_file`, because there is no `store` to keep the token in";
    (!is_kept && !is_doubtful(&root.at("admin").at("token_file"))).then(|| Finding::new(&root.at("admin"), message))
}

/// What policies are compiled with when nothing is served: an index without keys, if there would be one.
fn lent_for_checking(document: &Document, is_doubtful: &dyn Fn(&Pointer) -> bool) -> Lent {
    let mut services = Services::default();
    if document.store.is_some() || is_doubtful(&Pointer::default().at("store")) {
        let index = Arc::new(Index::new(Pepper::new(&[0; 32])));
        services = services.with(index.clone()).with::<dyn Plans>(Arc::new(IndexedPlans::new(index)));
        services = services.with::<dyn Signers>(Arc::new(NamedSigners::of(document)));
        services = services.with::<dyn WaitingRooms>(Arc::new(NamedRooms::of(document)));
        services = crate::sessions::none().into_iter().fold(services, Services::with);
    }
    services = services.with::<dyn Revocations>(Arc::new(NamedAuthorities::of(document)));
    services = services.with::<dyn Background>(Arc::new(NoBackground));
    Lent { services: Arc::new(services), kept: Arc::new(Kept::default()) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The files that a target of events of waiting rooms names.
fn files_of_target(target: &mut RoomEventTarget) -> Vec<&mut PathBuf> {
    match target {
        RoomEventTarget::Webhook(webhook) => files_of(&mut webhook.tls).collect(),
        RoomEventTarget::Nats(nats) => nats.tls.as_mut().map(files_of).into_iter().flatten().collect(),
        RoomEventTarget::File(file) => vec![&mut file.path],
        RoomEventTarget::Redis(_) | RoomEventTarget::Log => Vec::new(),
    }
}

/// Makes relative paths mean what they mean to a reader of the file: beside it.
fn anchor(document: &mut Document, file: &Path) {
    let Some(folder) = file.parent() else { return };
    let tls = document.listeners.values_mut().filter_map(|listener| listener.tls.as_mut());
    let admin = document.admin.as_mut().map(|admin| (admin.tls.as_mut(), admin.token_file.as_mut()));
    let (admin_tls, token_file) = admin.unwrap_or_default();
    let tls = tls.chain(admin_tls);
    let mut paths: Vec<&mut PathBuf> = Vec::new();
    for tls in tls {
        paths.extend(tls.certificates.iter_mut().flat_map(|files| [&mut files.cert, &mut files.key]));
        paths.extend(&mut tls.client_ca);
    }
    for upstream in document.upstreams.values_mut() {
        paths.extend(files_of(&mut upstream.tls));
    }
    paths.extend(document.logs.iter_mut().flat_map(files_of_log));
    for sink in document.usage.events.values_mut() {
        match sink {
            EventSink::Http(_) => {}
            EventSink::Nats(nats) => paths.extend(nats.tls.as_mut().map(files_of).into_iter().flatten()),
            EventSink::File(file) => paths.push(&mut file.path),
        }
    }
    paths.extend(document.room_events.values_mut().flat_map(|events| files_of_target(&mut events.to)));
    let caps = document.rooms.values_mut().filter_map(|room| room.caps.as_mut()?.asn.as_mut());
    paths.extend(caps.map(|asn| &mut asn.file));
    for receiver in document.alerts.to.values_mut() {
        match receiver {
            AlertReceiver::Mail(mail) => paths.extend(&mut mail.ca),
            AlertReceiver::Webhook(AlertWebhook { tls, .. }) | AlertReceiver::Sentry(AlertSentry { tls, .. }) => {
                paths.extend(files_of(tls));
            }
        }
    }
    for job in document.jobs.values_mut() {
        if let JobAction::Export(export) = &mut job.run {
            paths.push(&mut export.file);
        }
    }
    for authority in document.certificate_authorities.values_mut() {
        paths.extend([&mut authority.cert, &mut authority.key, &mut authority.crl].into_iter().flatten());
    }
    let of_store = document.store.as_mut().map(|store| [&mut store.embedded, &mut store.folder, &mut store.ca]);
    paths.extend(of_store.into_iter().flatten().flatten());
    paths.extend(token_file);
    if let Some(transit) = &mut document.encryption.transit {
        paths.extend(files_of(&mut transit.tls).chain(&mut transit.token_file));
    }
    for path in paths {
        if path.is_relative() {
            *path = folder.join(&*path);
        }
    }
    anchor_rules(document, folder);
    authorities::resolve(document);
}

fn anchor_rules(document: &mut Document, folder: &Path) {
    let policies = document.apis.values_mut().flat_map(|api| {
        api.policies.iter_mut().chain(api.operations.iter_mut().flat_map(|operation| &mut operation.policies))
    });
    for firewall in policies.filter(|used| used.policy == <Waf as Policy>::NAME) {
        firewall::anchor(&mut firewall.settings, folder);
    }
}

fn files_of_log(log: &mut LogSink) -> Vec<&mut PathBuf> {
    let tls = match log {
        LogSink::Stdout(_) => None,
        LogSink::File(file) => return vec![&mut file.path],
        LogSink::Fluent(sink) => sink.tls.as_mut(),
        LogSink::Syslog(sink) => sink.tls.as_mut(),
        LogSink::Elasticsearch(sink) => Some(&mut sink.tls),
        LogSink::Otlp(sink) => Some(&mut sink.tls),
        LogSink::Http(sink) => Some(&mut sink.tls),
    };
    tls.map(files_of).into_iter().flatten().collect()
}

fn files_of(tls: &mut ClientTls) -> impl Iterator<Item = &mut PathBuf> {
    [&mut tls.ca, &mut tls.cert, &mut tls.key].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(more: &str) -> Vec<String> {
        let text = format!("version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n{more}");
        let findings = match Configuration::read(&text, Path::new("a.yaml")) {
            Ok(configuration) => check(&configuration).findings,
            Err(findings) => findings,
        };
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_admin_listener_needs_a_place_for_its_token() {
        let missing = "a.yaml:3:8: /admin: needs `token_file`, because there is no `store` to keep the token in";
        assert_eq!(checked("admin: {bind: \"127.0.0.1:0\"}\n"), [missing]);
        assert!(checked("admin: {bind: \"127.0.0.1:0\", token_file: token}\n").is_empty());
        assert!(checked("admin: {bind: \"127.0.0.1:0\"}\nstore: {embedded: ./data}\n").is_empty());
        // The store may be there, once its name is right.
        let doubtful = checked("admin: {bind: \"127.0.0.1:0\"}\nsotre: {embedded: ./data}\n");
        assert_eq!(doubtful.len(), 1, "{doubtful:?}");
    }

    #[test]
    fn mistakes_in_rules_are_told_beside_those_of_the_document_and_those_of_one_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.conf").display().to_string();
        std::fs::write(&rules, "SecFoo\nSecBar\n").unwrap();
        let of = |name: &str, settings: &str| {
            format!("  {name}: {{match: {{path: /{name}}}, policies: [waf: {settings}]}}\n")
        };
        let apis = [
            of("one", &format!("{{rules: [{rules}]}}")),
            of("two", &format!("{{rules: [{rules}], mode: detect}}")),
            of("three", "{directives: SecFoo}"),
            of("four", "{mod: block}"),
        ];
        let found = checked(&format!("apis:\n{}", apis.concat()));
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("a.yaml:6:") && found[0].contains("/waf/directives: in its line 1"), "{found:?}");
        assert!(found[1].starts_with("a.yaml:7:"), "{found:?}");
        assert!(found[2].starts_with(&format!("{rules}:1:1: ")), "{found:?}");
        assert!(found[3].starts_with(&format!("{rules}:2:1: ")), "{found:?}");
    }
}
