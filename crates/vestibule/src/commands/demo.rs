//! `vestibule demo`: a gateway with everything that belongs to it, to be tried out.

mod backend;
mod crowd;
mod shop;
mod welcome;

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use admin::Token;
use clap::Args;
use control::{Configuration, Node, StartError};
use partners::{NewApp, NewCompany, NewKey, SubscriptionState};
use telemetry::logging::{Form, Log};

use self::welcome::Welcome;
use crate::handover::{Passed, Succession};
use crate::output::{self, GOOD};
use crate::serving::Serving;

/// Starts a gateway with a sample backend, a partner, a key and a shop with a waiting room, and says what to try.
///
/// Everything is in a temporary folder, which is removed in the end. Ctrl-C stops it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The port of the gateway. Left out: 8080, or another one if that is taken.
    #[arg(long)]
    port: Option<u16>,
    /// The port of the admin listener. Left out: 9900, or another one if that is taken.
    #[arg(long)]
    admin_port: Option<u16>,
}

/// Why there is no demo.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Runs until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match (runtime, Log::start("warn", Form::Text)) {
        (Ok(runtime), Ok(log)) => {
            let done = runtime.block_on(demonstrate(arguments));
            log.close(Duration::from_secs(1));
            done
        }
        (Err(error), _) => Err(error.into()),
        (_, Err(error)) => Err(error.into()),
    };
    match done {
        Ok(()) => GOOD.into(),
        Err(error) => match error.downcast::<StartError>() {
            Ok(error) => match *error {
                StartError::Findings(findings) => output::refuse(&findings),
                error => output::fail(&error.to_string()),
            },
            Err(error) => output::fail(&error.to_string()),
        },
    }
}

async fn demonstrate(arguments: &Arguments) -> Result<(), Trouble> {
    let gateway = choose(arguments.port, 8080)?;
    let admin = choose(arguments.admin_port, 9900)?;
    let folder = tempfile::Builder::new().prefix("vestibule-demo-").tempdir()?;
    let backend = backend::start().await?;
    let file = folder.path().join("vestibule.yaml");
    fs::write(&file, welcome::document(gateway, admin, backend))?;

    let configuration = Configuration::open(&file).map_err(StartError::Findings)?;
    let serving = Serving::start(configuration, Some(file.clone()), Passed::default(), Succession::Impossible).await?;
    let key = admit_partner(&serving.node).await?;
    let token = folder.path().join("data").join("admin.token");
    let room = serving.node.keeping.as_ref().and_then(|keeping| keeping.rooms.named(welcome::ROOM));
    let crowd = crowd::gather(room.ok_or("the demo has no waiting room")?);
    let link = serving.console().and_then(|console| console.invite(&Token::text(&token).ok()?, seconds()));
    let link = link.ok_or("nobody can sign in")?;
    say(&Welcome { gateway, admin, key: &key, document: &file, token: &token, link: &link }.to_string())?;
    serving.until_stopped().await;
    crowd.end().await;
    let place = folder.path().to_owned();
    folder.close()?;
    say(&farewell(&place))
}

/// The port that was asked for, or a free one near to what people expect.
fn choose(port: Option<u16>, usual: u16) -> Result<SocketAddr, String> {
    let try_out = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr();
    let chosen = match port {
        Some(port) => try_out(port).map_err(|error| format!("port {port} cannot be listened on: {error}")),
        None => try_out(usual).or_else(|_taken| try_out(0)).map_err(|error| format!("no port is free: {error}")),
    };
    let port = chosen?.port();
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

/// Makes a company with an app that may use the product of the demo, and a key for it.
async fn admit_partner(node: &Node) -> Result<String, Trouble> {
    let keeping = node.keeping.as_ref().ok_or("the demo has no store")?;
    let partners = &keeping.partners;
    let new = NewCompany { name: welcome::COMPANY.to_owned(), title: Some("Acme Ltd".to_owned()) };
    let company = partners.create_company(new).await?;
    let new = NewApp { name: welcome::APP.to_owned(), title: Some("Acme's shop".to_owned()) };
    let app = partners.create_app(&company.name, new).await?;
    let product = welcome::PRODUCT.parse()?;
    partners.subscribe(&app.id, &product, SubscriptionState::Approved).await?;
    let issued = partners.create_key(&app.id, NewKey::default()).await?;
    Ok(issued.secret.expose().to_owned())
}

/// Now, in seconds since 1970.
fn seconds() -> u64 {
    control::now().0 / 1_000_000
}

fn farewell(folder: &Path) -> String {
    format!("\nStopped, and {} is removed.\n", folder.display())
}

/// Prints at once. A reader that has gone away is no trouble.
fn say(text: &str) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
