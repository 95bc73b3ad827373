//! `vestibule explain`: what would become of a request, and why.

mod story;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use clap::Args;
use control::{Configuration, Keys};
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, request};
use pipeline::{Body, Connection, Exchange, Flow, Stage, Tls};
use problem::Finding;
use proxy::Rehearsal;
use snapshot::{Destination, Snapshot, Wanted};

use self::story::{Answer, Place, Policy, Route, Story, Target, Verdict};
use crate::output::{self, FOUND, GOOD};

/// Says which route a request would take and why, what each policy would say, and where the request would go.
///
/// Nothing is sent and nothing is counted: rates and quotas begin at zero. Keys are known if the store can be read.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The document.
    file: PathBuf,
    /// The method, such as GET.
    method: Method,
    /// The URL as a client would use it; its host may be left out.
    url: Uri,
    /// A header field; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The address that the request comes from.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    from: IpAddr,
    /// The file that is the request's body.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

fn field(written: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = written.split_once(':').ok_or("write it as `Name: value`")?;
    let name = name.trim().parse().map_err(|error| format!("`{name}` is no name: {error}"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

/// Tells the story of a request.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let body = arguments.body.as_ref().map(std::fs::read).transpose();
    let body = match body {
        Ok(body) => Bytes::from(body.unwrap_or_default()),
        Err(error) => return output::fail(&format!("the body cannot be read: {error}")),
    };
    let told = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(tell(arguments, body)),
        Err(error) => return output::fail(&format!("no thread can be started: {error}")),
    };
    match told {
        Ok(story) if arguments.json => output::print(&format!("{:#}\n", story.as_json()), GOOD),
        Ok(story) => output::print(&story.to_string(), GOOD),
        Err(findings) if arguments.json => output::findings(&findings, true),
        Err(findings) => output::print(&output::lines(&findings), FOUND),
    }
}

async fn tell(arguments: &Arguments, mut body: Bytes) -> Result<Story, Vec<Finding>> {
    let configuration = Configuration::open(&arguments.file)?;
    let (snapshot, keys) = control::rehearse(&configuration).await?;
    let head = head(arguments, body.len());
    let arrived = head.headers.clone();
    let Rehearsal { mut exchange, route, refusal } =
        proxy::rehearse(&snapshot, &connection(arguments, &snapshot), head);
    exchange.has_body = !body.is_empty();
    let (routes, other_routes) = routes(&snapshot, &exchange, &arrived, route);

    let mut policies = Vec::new();
    let answer = match refusal {
        Some(problem) => Some(answer(problem.into_response())),
        None => ask(&snapshot, route, &mut exchange, &mut body, &mut policies).await,
    };
    let place = if answer.is_some() { None } else { place(&snapshot, route, &exchange) };
    Ok(Story {
        method: arguments.method.to_string(),
        url: arguments.url.to_string(),
        client: exchange.client.to_string(),
        caller: exchange.caller.as_ref().map(|caller| story::caller(caller)),
        note: match keys {
            Keys::None => None,
            Keys::Known(count) => {
                Some(format!("{count} keys were read from the store; rates and quotas begin at zero"))
            }
            Keys::Unknown(reason) => Some(format!("keys are not known here, so none opens anything: {reason}")),
        },
        routes,
        other_routes,
        policies,
        answer,
        place,
    })
}

/// The head as it would come over HTTP/1.1.
fn head(arguments: &Arguments, body: usize) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = arguments.method.clone();
    let target = arguments.url.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse().unwrap_or_default();
    let host = arguments.url.authority().map_or("localhost", |authority| authority.as_str());
    if let Ok(host) = HeaderValue::from_str(host) {
        head.headers.insert(HOST, host);
    }
    if 0 < body {
        head.headers.insert(http::header::CONTENT_LENGTH, body.into());
    }
    for (name, value) in &arguments.headers {
        if *name == HOST {
            head.headers.insert(name, value.clone());
        } else {
            head.headers.append(name, value.clone());
        }
    }
    head
}

fn connection(arguments: &Arguments, snapshot: &Snapshot) -> Arc<Connection> {
    let listener = snapshot.document.listeners.iter().next();
    Arc::new(Connection {
        peer: SocketAddr::new(arguments.from, 0),
        local: listener.map_or(SocketAddr::new(arguments.from, 0), |(_, listener)| listener.bind),
        listener: listener.map_or("", |(name, _)| name).into(),
        tls: (arguments.url.scheme_str() == Some("https")).then(Tls::default),
        told: OnceLock::new(),
        depends_on: OnceLock::new(),
    })
}

/// The routes with the request's host and path, and how many have others.
fn routes(
    snapshot: &Snapshot,
    exchange: &Exchange,
    headers: &http::HeaderMap,
    won: Option<usize>,
) -> (Vec<Route>, usize) {
    let wanted = Wanted {
        host: &exchange.host,
        path: exchange.target.path(),
        method: &exchange.method,
        headers,
        query: exchange.target.query(),
    };
    let candidates = snapshot.router.candidates(&wanted);
    let others = snapshot.routes.len().saturating_sub(candidates.len());
    let story = |(number, lacking): (usize, Vec<String>)| {
        let route = snapshot.route(Some(number));
        let lost_because = match (won == Some(number), lacking.is_empty()) {
            (true, _) => None,
            (false, true) => Some("it is less specific".to_owned()),
            (false, false) => Some(format!("the request lacks {}", lacking.join(" and "))),
        };
        Route { summary: route.summary.clone(), api: route.names.api.to_string(), lost_because }
    };
    (candidates.into_iter().map(story).collect(), others)
}

/// Asks the policies, and returns the answer if one of them gives it.
async fn ask(
    snapshot: &Snapshot,
    route: Option<usize>,
    exchange: &mut Exchange,
    body: &mut Bytes,
    policies: &mut Vec<Policy>,
) -> Option<Answer> {
    let chain = snapshot.chain(route);
    let mut given = None;
    let explained = chain.explain(exchange).await;
    let asked = explained.len();
    for step in explained {
        let verdict = match step.flow {
            None => Verdict::LeftOut,
            Some(Flow::Next) => Verdict::Passes,
            Some(Flow::Respond(response)) => {
                given = Some(answer(*response));
                Verdict::Answers
            }
        };
        policies.push(Policy { stage: step.stage, name: step.policy, verdict, took: Some(step.took) });
    }
    let left = chain.asked().skip(asked);
    policies.extend(left.map(|(stage, name)| Policy { stage, name, verdict: Verdict::NotAsked, took: None }));
    if given.is_some() || body.is_empty() {
        return given;
    }
    if chain.sees_beginnings() {
        let began = tokio::time::Instant::now();
        // What is in memory can be read.
        let flow = chain.body_begun(exchange, &mut Body::from(body.clone())).await.unwrap_or(Flow::Next);
        let verdict = if matches!(flow, Flow::Next) { Verdict::Passes } else { Verdict::Answers };
        policies.push(Policy { stage: Stage::Body, name: "(its beginning)", verdict, took: Some(began.elapsed()) });
        if let Flow::Respond(response) = flow {
            return Some(answer(*response));
        }
    }
    let limit = chain.request_body_limit(exchange)?;
    let began = tokio::time::Instant::now();
    let flow = if body.len() > limit { None } else { Some(chain.request_body(exchange, body).await) };
    let verdict = if matches!(flow, Some(Flow::Next)) { Verdict::Passes } else { Verdict::Answers };
    policies.push(Policy { stage: Stage::Body, name: "(the body)", verdict, took: Some(began.elapsed()) });
    match flow {
        Some(Flow::Next) => None,
        Some(Flow::Respond(response)) => Some(answer(*response)),
        None => Some(Answer { status: 413, problem: None, detail: Some(format!("at most {limit} bytes are held")) }),
    }
}

fn answer(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    let text = match &body {
        Body::Full(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Empty | Body::Stream(_) => String::new(),
    };
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let kind = head.extensions.get::<&'static problem::ProblemKind>();
    let part = |name: &str| document.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let detail = if kind.is_some() { part("detail").or_else(|| part("title")) } else { None };
    Answer { status: head.status.as_u16(), problem: kind.map(|kind| kind.code), detail }
}

/// Where the request goes.
fn place(snapshot: &Snapshot, route: Option<usize>, exchange: &Exchange) -> Option<Place> {
    let route = snapshot.route(route);
    let target = |upstream: &upstream::Upstream, share: usize| Target {
        upstream: upstream.name.to_string(),
        targets: upstream.targets().iter().map(|target| target.name.to_string()).collect(),
        share,
    };
    let mut targets: Vec<Target> = Vec::new();
    match &route.destination {
        Destination::None => return None,
        Destination::Upstream(upstream) => targets.push(target(upstream, 1)),
        Destination::Split { sequence, .. } => {
            for upstream in sequence {
                match targets.iter_mut().find(|known| known.upstream == *upstream.name) {
                    Some(known) => known.share += 1,
                    None => targets.push(target(upstream, 1)),
                }
            }
        }
    }
    Some(Place {
        request: format!("{} {}", exchange.head.method, exchange.head.uri),
        targets,
        mirror: route.mirror.as_ref().map(|mirror| format!("{} % to {}", mirror.percent, mirror.upstream.name)),
    })
}
