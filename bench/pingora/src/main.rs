//! `bench-pingora PLAIN TLS BACKEND CERTIFICATE KEY`: a plain proxy on Pingora, with its defaults, on one thread.

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [plain, tls, backend, certificate, key] = words.as_slice() else {
        return Error::e_explain(ErrorType::InternalError, "usage: bench-pingora PLAIN TLS BACKEND CERTIFICATE KEY");
    };
    let configuration = ServerConf {
        threads: 1,
        work_stealing: false,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Through { backend: format!("127.0.0.1:{backend}") });
    proxy.add_tcp(&format!("127.0.0.1:{plain}"));
    let mut settings = TlsSettings::intermediate(certificate, key)?;
    settings.enable_h2();
    proxy.add_tls_with_settings(&format!("127.0.0.1:{tls}"), None, settings);
    server.add_service(proxy);
    server.run_forever()
}

/// Sends everything to one backend.
struct Through {
    backend: String,
}

#[async_trait]
impl ProxyHttp for Through {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.backend, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        _ctx: &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            upstream.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        Ok(())
    }
}
