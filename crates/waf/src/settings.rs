//! What directives set besides rules.

mod read;

use patterns::Statuses;
use problem::Finding;

pub(crate) use self::read::{AS_XML, Outcome, set, suggestion};
use crate::action::Audit;
use crate::seclang::Text;

/// How what cannot be done here is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// It is a finding, and the rules do not load.
    #[default]
    Strict,
    /// It is left out, and noted.
    Lenient,
}

/// Whether rules are looked at, and whether they interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// They are, and do.
    On,
    /// They are not looked at.
    Off,
    /// They are looked at and interrupt nothing.
    DetectionOnly,
}

impl Engine {
    pub(crate) fn read(text: &Text) -> Result<Self, Finding> {
        match text.lossy().to_ascii_lowercase().as_str() {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "detectiononly" => Ok(Self::DetectionOnly),
            _ => Err(text.finding(0, "must be On, Off or DetectionOnly")),
        }
    }
}

/// What happens to a body beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The transaction is refused.
    Reject,
    /// What is within the limit is looked at, and the rest passes.
    ProcessPartial,
}

/// How cookies are taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieFormat {
    /// Netscape's cookies, which everybody sends.
    Version0,
    /// Those of RFC 2965.
    Version1,
}

/// What directives set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SecRuleEngine`.
    pub engine: Engine,
    /// `SecRequestBodyAccess`.
    pub request_body: bool,
    /// `SecResponseBodyAccess`.
    pub response_body: bool,
    /// `SecRequestBodyLimit`.
    pub request_body_limit: u64,
    /// `SecRequestBodyNoFilesLimit`.
    pub request_body_no_files_limit: u64,
    /// `SecRequestBodyLimitAction`.
    pub request_body_beyond: Beyond,
    /// `SecResponseBodyLimit`.
    pub response_body_limit: u64,
    /// `SecResponseBodyLimitAction`.
    pub response_body_beyond: Beyond,
    /// `SecResponseBodyMimeType`, in small letters.
    pub response_types: Vec<Box<str>>,
    /// `SecRequestBodyJsonDepthLimit`.
    pub json_depth: usize,
    /// `SecArgumentsLimit`.
    pub arguments_limit: usize,
    /// `SecUploadFileLimit`.
    pub files_limit: usize,
    /// `SecArgumentSeparator`.
    pub argument_separator: u8,
    /// `SecCookieFormat`.
    pub cookie_format: CookieFormat,
    /// `SecCookieV0Separator`.
    pub cookie_separator: u8,
    /// `SecCollectionTimeout`, in seconds.
    pub collection_timeout: u64,
    /// `SecWebAppId`.
    pub application: Box<str>,
    /// `SecAuditEngine`.
    pub audit: Audit,
    /// `SecAuditLogParts`.
    pub audit_parts: Box<str>,
    /// `SecAuditLogRelevantStatus`.
    pub audit_status: Option<Statuses>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: Engine::On,
            request_body: true,
            response_body: false,
            request_body_limit: 13_107_200,
            request_body_no_files_limit: 1_048_576,
            request_body_beyond: Beyond::Reject,
            response_body_limit: 524_288,
            response_body_beyond: Beyond::ProcessPartial,
            response_types: ["text/plain", "text/html", "text/xml"].map(Into::into).into(),
            json_depth: 512,
            arguments_limit: 1000,
            files_limit: 100,
            argument_separator: b'&',
            cookie_format: CookieFormat::Version0,
            cookie_separator: b';',
            collection_timeout: 3600,
            application: "default".into(),
            audit: Audit::RelevantOnly,
            audit_parts: "ABIJDEFHZ".into(),
            audit_status: None,
        }
    }
}
