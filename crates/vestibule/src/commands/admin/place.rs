//! Where the gateway is, and what opens it: from flags, the environment, or the gateway's own configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use admin::Token;
use clap::Args;
use control::Configuration;
use http::Uri;
use model::Document;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::operators::token_file;
use crate::output;

/// How the gateway is found.
#[derive(Args)]
pub(crate) struct Whereabouts {
    /// The admin listener, such as `http://127.0.0.1:9900`. Left out, it is looked up in the configuration.
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_URL", value_name = "URL")]
    url: Option<Url>,
    /// The token. Others may see it on a command line; better use the environment or `--token-file`.
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The file that holds the token.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to believe, for an `https` URL. Left out, those of the web.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The configuration of the gateway, in which its admin listener and its token are looked up.
    #[arg(long, global = true, value_name = "FILE", default_value = "vestibule.yaml")]
    config: PathBuf,
}

/// Where the gateway is.
pub(crate) struct Place {
    /// For people.
    pub(crate) url: String,
    /// What to connect to: a host and a port.
    pub(crate) address: String,
    /// The `Host` field.
    pub(crate) host: String,
    pub(crate) token: String,
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What to do if there is no gateway.
    pub(crate) start: String,
}

/// The URL of an admin listener: a scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    is_https: bool,
    /// As in a URL: an IPv6 address stands in brackets.
    host: String,
    port: u16,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as `http://127.0.0.1:9900`";
        let url: Uri = text.parse().map_err(|error| format!("{error}; {form}"))?;
        let is_https = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("it has no scheme; {form}")),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(format!("it has a path; {form}"));
        }
        let authority = url.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| format!("it has no host; {form}"))?;
        if authority.as_str().contains('@') {
            return Err(format!("it has a user; {form}"));
        }
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok(Self { is_https, host: authority.host().to_owned(), port })
    }
}

impl Whereabouts {
    /// Where the gateway is, or why that is not known.
    pub(crate) fn place(&self) -> Result<Place, String> {
        let has_token = self.token.is_some() || self.token_file.is_some();
        // What flags say needs no configuration, which may be on another machine.
        let configuration = match (&self.url, has_token) {
            (Some(_), true) => None,
            _ => Some(self.configuration()?),
        };
        let token = match (&self.token, &self.token_file, &configuration) {
            (Some(token), _, _) => token.trim().to_owned(),
            (None, Some(file), _) => read_token(file)?,
            (None, None, Some(configuration)) => read_token(&token_file(configuration).ok_or(NO_TOKEN_FILE)?)?,
            (None, None, None) => return Err(NO_TOKEN_FILE.to_owned()),
        };
        let url = match (&self.url, &configuration) {
            (Some(url), _) => url.clone(),
            (None, Some(configuration)) => listener(configuration)?,
            (None, None) => return Err(NO_LISTENER.to_owned()),
        };
        let tls = if url.is_https { Some(self.tls(&url, configuration.as_ref())?) } else { None };
        let Url { host, port, .. } = &url;
        let scheme = if url.is_https { "https" } else { "http" };
        Ok(Place {
            url: format!("{scheme}://{host}:{port}"),
            address: format!("{host}:{port}"),
            host: format!("{host}:{port}"),
            token,
            tls,
            start: format!("start it with `vestibule run {}`", self.config.display()),
        })
    }

    fn configuration(&self) -> Result<Document, String> {
        let file = self.config.display();
        if !self.config.exists() {
            return Err(format!(
                "there is no {file} that would say where the gateway is: name its configuration with `--config`, or the \
                 gateway with `--url` and `--token-file`"
            ));
        }
        Configuration::whereabouts(&self.config).map_err(|findings| {
            let found = output::lines(&findings);
            format!(
                "{file} cannot be read, so the gateway cannot be found by it: mend it, or name the gateway with `--url` \
                 and `--token-file`\n{}",
                found.trim_end()
            )
        })
    }

    fn tls(&self, url: &Url, of: Option<&Document>) -> Result<(TlsConnector, ServerName<'static>), String> {
        let own = of.and_then(|of| of.admin.as_ref()?.tls.as_ref()?.certificates.first());
        // Whoever has the gateway's own files may believe the gateway's own certificate.
        connector(&url.host, self.ca.as_deref().or(own.map(|files| files.cert.as_path())))
    }
}

/// What connects to a host by TLS: certificates of a file are believed, or else those of the web.
pub(crate) fn connector(host: &str, ca: Option<&Path>) -> Result<(TlsConnector, ServerName<'static>), String> {
    let roots = match ca {
        Some(file) => roots(file)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| format!("TLS cannot be used: {error}"))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|error| format!("{host} is no name for TLS: {error}"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// The admin listener of a configuration, as this machine reaches it.
fn listener(configuration: &Document) -> Result<Url, String> {
    let admin = configuration.admin.as_ref().ok_or(NO_LISTENER)?;
    let address = match admin.bind.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    let host = match SocketAddr::new(address, 0) {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    Ok(Url { is_https: admin.tls.is_some(), host, port: admin.bind.port() })
}

fn read_token(file: &Path) -> Result<String, String> {
    Token::text(file).map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}; the gateway makes it when it first starts"),
        None => error.to_string(),
    })
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error| format!("{} cannot be read as PEM: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|error| format!("{} cannot be believed: {error}", file.display()))?;
    }
    Ok(roots)
}

const NO_LISTENER: &str =
    "the configuration has no admin listener: write `admin: {bind: \"127.0.0.1:9900\"}` and start again";
const NO_TOKEN_FILE: &str =
    "the configuration says neither `store` nor `admin.token_file`, so there is no token to find";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port() {
        let url = |is_https, host: &str, port| Ok(Url { is_https, host: host.to_owned(), port });
        assert_eq!("http://127.0.0.1:9900".parse(), url(false, "127.0.0.1", 9900));
        assert_eq!("https://gateway.example/".parse(), url(true, "gateway.example", 443));
        assert_eq!("http://[::1]:9".parse(), url(false, "[::1]", 9));
        for bad in
            ["", "127.0.0.1:9900", "ftp://host", "http://host/path", "http://host?x", "http://a:b@host", "http://"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }
}
