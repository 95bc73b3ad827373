//! The admin listener of a running node: its token, its certificates, its socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use admin::{Admin, Console, Listener, Origin, Storage, Token, Transport};
use arc_swap::ArcSwap;
use control::Node;
use model::Document;
use model::listener::Switch;
use problem::{Finding, Pointer};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What answers operators.
pub(crate) struct Operators {
    /// The socket, to hand it over to a successor.
    pub(crate) socket: Arc<TcpListener>,
    listener: Listener,
    admin: Admin,
}

/// Where the token of a gateway is kept.
pub(crate) fn token_file(document: &Document) -> Option<PathBuf> {
    let named = document.admin.as_ref().and_then(|admin| admin.token_file.clone());
    named.or_else(|| Some(document.store.as_ref()?.folder().join("admin.token")))
}

/// Opens the admin listener, if the configuration has one. `inherited` is the socket of a predecessor.
pub(crate) fn open(node: &Arc<Node>, inherited: Option<TcpListener>) -> Result<Option<Operators>, Vec<Finding>> {
    let configuration = node.configuration();
    let document = &configuration.document;
    let Some(settings) = &document.admin else { return Ok(None) };
    let at = Pointer::default().at("admin");
    let wrong = |at: &Pointer, message: String| {
        let mut findings = vec![Finding::new(at, message)];
        configuration.source.locate(&mut findings);
        findings
    };

    let transport = transport(node, settings).map_err(|mut findings| {
        configuration.source.locate(&mut findings);
        findings
    })?;
    let file = token_file(document)
        .ok_or_else(|| wrong(&at, "needs `token_file`, because there is no `store` to keep the token in".to_owned()))?;
    let (token, origin) =
        Token::load_or_create(&file).map_err(|error| wrong(&at.at("token_file"), error.to_string()))?;
    match origin {
        Origin::Made => tracing::info!(file = %file.display(), "the admin token was made; only its owner may read it"),
        Origin::Found => {}
    }
    let fits =
        |bound: SocketAddr| bound.ip() == settings.bind.ip() && [bound.port(), 0].contains(&settings.bind.port());
    let adopted = inherited.filter(|socket| socket.local_addr().is_ok_and(fits));
    let listener = match adopted {
        Some(socket) => Listener::adopt(socket, transport, &at),
        None => Listener::bind(settings.bind, transport, &at),
    };
    let listener = listener.map_err(|finding| wrong(&finding.at.clone(), finding.message))?;
    let socket = listener.socket().try_clone().map_err(|error| wrong(&at.at("bind"), error.to_string()))?;
    let storage = node.keeping.as_ref().map(|keeping| Storage {
        partners: keeping.partners.clone(),
        totals: keeping.totals.clone(),
        authorities: keeping.authorities.clone(),
        accounts: keeping.accounts.clone(),
        sessions: keeping.sessions.clone(),
        rooms: keeping.rooms.clone(),
        everywhere: keeping.everywhere.clone(),
        webhooks: keeping.webhooks.clone(),
        alerts: keeping.alerts.clone(),
        jobs: keeping.jobs.clone(),
    });
    if let Some(keeping) = &node.keeping {
        let token = token.clone();
        keeping.room_operators.know_bootstrap(move |secret| token.is(secret));
    }
    let admin = Admin::new(node.clone(), storage, token, Arc::new(control::now));
    Ok(Some(Operators { socket: Arc::new(socket), listener, admin }))
}

/// How operators are spoken to. Certificates are read again when their files change.
fn transport(node: &Node, settings: &model::document::Admin) -> Result<Transport, Vec<Finding>> {
    let at = Pointer::default().at("admin").at("tls");
    let Some(tls) = &settings.tls else { return Ok(Transport::Plain) };
    let current = Arc::new(ArcSwap::from_pointee(proxy::tls::load(tls, Switch::Off, &at)?));
    let served = current.clone();
    node.watch_certificates(move |configuration| {
        let tls = configuration.document.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        match tls.map(|tls| proxy::tls::load(tls, Switch::Off, &at)) {
            Some(Ok(loaded)) => current.store(Arc::new(loaded)),
            Some(Err(findings)) => return findings,
            // That takes effect at the next start.
            None => {}
        }
        Vec::new()
    });
    Ok(Transport::Tls(served))
}

/// An admin listener that answers.
pub(crate) struct Serving {
    /// The page for people, and who is signed in there.
    pub(crate) console: Console,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Operators {
    /// Answers until it is told to stop. `upgrade` starts a successor.
    #[expect(clippy::disallowed_methods, reason = "`Serving::stop` awaits it")]
    pub(crate) fn serve(self, upgrade: impl Fn() -> io::Result<u32> + Send + Sync + 'static) -> Serving {
        let (stop, stopped) = oneshot::channel();
        let Self { listener, admin, .. } = self;
        tracing::info!(address = %listener.address(), "the admin listener is open");
        let (console, changes) = (admin.console().clone(), admin.changes().clone());
        let routes = admin.upgrading_by(upgrade).routes_at(listener.address());
        let serving = async move {
            let served = listener.serve(routes, async {
                // Dropped or sent, it means the same.
                drop(stopped.await);
            });
            let served = served.await;
            changes.ended().await;
            served
        };
        Serving { console, stop, task: tokio::spawn(serving) }
    }
}

impl Serving {
    /// Ends what has begun, and waits for that.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the admin listener failed"),
            Err(error) => tracing::error!(%error, "the admin listener broke off"),
        }
    }
}
