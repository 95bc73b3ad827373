//! The variables of `SecLang`: their names, and what shape they have.

/// What a variable holds, and how it can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value, or none.
    Scalar,
    /// Values with names: all of them, or those that a selector names.
    Collection,
    /// Values with names, of which one must be named.
    Keyed,
    /// Known to `ModSecurity`, but not here, for this reason.
    Absent(&'static str),
}

macro_rules! variables {
    ($($variant:ident $name:literal $shape:expr;)*) => {
        /// A variable that rules can look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are those of the reference manual, which says what each holds")]
        pub enum Variable { $($variant),* }

        const ALL: &[(Variable, &str, Shape)] = &[$((Variable::$variant, $name, $shape)),*];
    };
}

use Shape::{Absent, Collection, Keyed, Scalar};

const TIMING: &str = "how long rules took is not measured here: see the metrics of the gateway";
const SERVED: &str = "a gateway serves no script of its own";

variables! {
    Args "ARGS" Collection;
    ArgsCombinedSize "ARGS_COMBINED_SIZE" Scalar;
    ArgsGet "ARGS_GET" Collection;
    ArgsGetNames "ARGS_GET_NAMES" Collection;
    ArgsNames "ARGS_NAMES" Collection;
    ArgsPost "ARGS_POST" Collection;
    ArgsPostNames "ARGS_POST_NAMES" Collection;
    AuthType "AUTH_TYPE" Scalar;
    Duration "DURATION" Scalar;
    Env "ENV" Keyed;
    Files "FILES" Collection;
    FilesCombinedSize "FILES_COMBINED_SIZE" Scalar;
    FilesNames "FILES_NAMES" Collection;
    FilesSizes "FILES_SIZES" Collection;
    FilesTmpContent "FILES_TMP_CONTENT" Collection;
    FilesTmpnames "FILES_TMPNAMES" Absent("files of requests are never written to disk; use FILES_TMP_CONTENT");
    FullRequest "FULL_REQUEST" Scalar;
    FullRequestLength "FULL_REQUEST_LENGTH" Scalar;
    Geo "GEO" Absent("there is no database of places here; use `geo` conditions of the gateway");
    Global "GLOBAL" Collection;
    HighestSeverity "HIGHEST_SEVERITY" Scalar;
    InboundDataError "INBOUND_DATA_ERROR" Scalar;
    Ip "IP" Collection;
    MatchedVar "MATCHED_VAR" Scalar;
    MatchedVarName "MATCHED_VAR_NAME" Scalar;
    MatchedVars "MATCHED_VARS" Collection;
    MatchedVarsNames "MATCHED_VARS_NAMES" Collection;
    ModsecBuild "MODSEC_BUILD" Scalar;
    MscPcreError "MSC_PCRE_ERROR" Scalar;
    MscPcreLimitsExceeded "MSC_PCRE_LIMITS_EXCEEDED" Scalar;
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" Scalar;
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" Scalar;
    MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES" Scalar;
    MultipartCrlfLine "MULTIPART_CRLF_LINE" Scalar;
    MultipartDataAfter "MULTIPART_DATA_AFTER" Scalar;
    MultipartDataBefore "MULTIPART_DATA_BEFORE" Scalar;
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" Scalar;
    MultipartFilename "MULTIPART_FILENAME" Scalar;
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" Scalar;
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" Scalar;
    MultipartInvalidPart "MULTIPART_INVALID_PART" Scalar;
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" Scalar;
    MultipartLfLine "MULTIPART_LF_LINE" Scalar;
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" Scalar;
    MultipartName "MULTIPART_NAME" Scalar;
    MultipartPartHeaders "MULTIPART_PART_HEADERS" Collection;
    MultipartStrictError "MULTIPART_STRICT_ERROR" Scalar;
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" Scalar;
    OutboundDataError "OUTBOUND_DATA_ERROR" Scalar;
    PathInfo "PATH_INFO" Absent(SERVED);
    PerfAll "PERF_ALL" Absent(TIMING);
    PerfCombined "PERF_COMBINED" Absent(TIMING);
    PerfGc "PERF_GC" Absent(TIMING);
    PerfLogging "PERF_LOGGING" Absent(TIMING);
    PerfPhase1 "PERF_PHASE1" Absent(TIMING);
    PerfPhase2 "PERF_PHASE2" Absent(TIMING);
    PerfPhase3 "PERF_PHASE3" Absent(TIMING);
    PerfPhase4 "PERF_PHASE4" Absent(TIMING);
    PerfPhase5 "PERF_PHASE5" Absent(TIMING);
    PerfRules "PERF_RULES" Absent(TIMING);
    PerfSread "PERF_SREAD" Absent(TIMING);
    PerfSwrite "PERF_SWRITE" Absent(TIMING);
    QueryString "QUERY_STRING" Scalar;
    RemoteAddr "REMOTE_ADDR" Scalar;
    RemoteHost "REMOTE_HOST" Scalar;
    RemotePort "REMOTE_PORT" Scalar;
    RemoteUser "REMOTE_USER" Scalar;
    ReqbodyError "REQBODY_ERROR" Scalar;
    ReqbodyErrorMsg "REQBODY_ERROR_MSG" Scalar;
    ReqbodyProcessor "REQBODY_PROCESSOR" Scalar;
    ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR" Scalar;
    ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG" Scalar;
    RequestBasename "REQUEST_BASENAME" Scalar;
    RequestBody "REQUEST_BODY" Scalar;
    RequestBodyLength "REQUEST_BODY_LENGTH" Scalar;
    RequestCookies "REQUEST_COOKIES" Collection;
    RequestCookiesNames "REQUEST_COOKIES_NAMES" Collection;
    RequestFilename "REQUEST_FILENAME" Scalar;
    RequestHeaders "REQUEST_HEADERS" Collection;
    RequestHeadersNames "REQUEST_HEADERS_NAMES" Collection;
    RequestLine "REQUEST_LINE" Scalar;
    RequestMethod "REQUEST_METHOD" Scalar;
    RequestProtocol "REQUEST_PROTOCOL" Scalar;
    RequestUri "REQUEST_URI" Scalar;
    RequestUriRaw "REQUEST_URI_RAW" Scalar;
    Resource "RESOURCE" Collection;
    ResponseBody "RESPONSE_BODY" Scalar;
    ResponseContentLength "RESPONSE_CONTENT_LENGTH" Scalar;
    ResponseContentType "RESPONSE_CONTENT_TYPE" Scalar;
    ResponseHeaders "RESPONSE_HEADERS" Collection;
    ResponseHeadersNames "RESPONSE_HEADERS_NAMES" Collection;
    ResponseProtocol "RESPONSE_PROTOCOL" Scalar;
    ResponseStatus "RESPONSE_STATUS" Scalar;
    Rule "RULE" Keyed;
    ScriptBasename "SCRIPT_BASENAME" Absent(SERVED);
    ScriptFilename "SCRIPT_FILENAME" Absent(SERVED);
    ScriptGid "SCRIPT_GID" Absent(SERVED);
    ScriptGroupname "SCRIPT_GROUPNAME" Absent(SERVED);
    ScriptMode "SCRIPT_MODE" Absent(SERVED);
    ScriptUid "SCRIPT_UID" Absent(SERVED);
    ScriptUsername "SCRIPT_USERNAME" Absent(SERVED);
    SdbmDeleteError "SDBM_DELETE_ERROR" Absent("collections are not kept in SDBM files here");
    ServerAddr "SERVER_ADDR" Scalar;
    ServerName "SERVER_NAME" Scalar;
    ServerPort "SERVER_PORT" Scalar;
    Session "SESSION" Collection;
    Sessionid "SESSIONID" Scalar;
    Status "STATUS" Scalar;
    StatusLine "STATUS_LINE" Scalar;
    StreamInputBody "STREAM_INPUT_BODY" Scalar;
    StreamOutputBody "STREAM_OUTPUT_BODY" Absent("answers are not rewritten; use RESPONSE_BODY");
    Time "TIME" Scalar;
    TimeDay "TIME_DAY" Scalar;
    TimeEpoch "TIME_EPOCH" Scalar;
    TimeHour "TIME_HOUR" Scalar;
    TimeMin "TIME_MIN" Scalar;
    TimeMon "TIME_MON" Scalar;
    TimeSec "TIME_SEC" Scalar;
    TimeWday "TIME_WDAY" Scalar;
    TimeYear "TIME_YEAR" Scalar;
    Tx "TX" Collection;
    UniqueId "UNIQUE_ID" Scalar;
    UrlencodedError "URLENCODED_ERROR" Scalar;
    User "USER" Collection;
    UseragentIp "USERAGENT_IP" Scalar;
    Userid "USERID" Scalar;
    Webappid "WEBAPPID" Scalar;
    WebserverErrorLog "WEBSERVER_ERROR_LOG" Absent("a gateway's log is not a variable");
    Xml "XML" Keyed;
}

impl Variable {
    /// How many variables there are.
    pub(crate) const COUNT: usize = ALL.len();

    /// The variable of that name, in whatever case it is written.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        // As ModSecurity 3 calls it.
        if name.eq_ignore_ascii_case(b"MULTIPART_SEMICOLON_MISSING") {
            return Some(Self::MultipartMissingSemicolon);
        }
        ALL.iter().find(|(_, known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(variable, _, _)| *variable)
    }

    /// The name as rules write it.
    pub fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name, _)| name)
    }

    pub(crate) fn shape(self) -> Shape {
        ALL.get(self as usize).map_or(Scalar, |(_, _, shape)| *shape)
    }

    /// Whether what it holds can change between two rules of a phase, by what rules do.
    pub(crate) fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::Tx
                | Self::Ip
                | Self::Global
                | Self::Session
                | Self::User
                | Self::Resource
                | Self::Env
                | Self::Rule
                | Self::MatchedVar
                | Self::MatchedVarName
                | Self::MatchedVars
                | Self::MatchedVarsNames
                | Self::HighestSeverity
                | Self::Sessionid
                | Self::Userid
                | Self::Duration
                | Self::ReqbodyProcessor
                | Self::Webappid
        )
    }

    /// The name nearest to one that is not known, to be suggested.
    pub(crate) fn nearest(name: &[u8]) -> Option<&'static str> {
        crate::seclang::nearest(name, ALL.iter().map(|(_, name, _)| *name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_found_by_its_name_and_stands_at_its_number() {
        for (index, (variable, name, _)) in ALL.iter().enumerate() {
            assert_eq!(Variable::named(name.to_ascii_lowercase().as_bytes()), Some(*variable));
            assert_eq!(*variable as usize, index);
            assert_eq!(variable.name(), *name);
        }
    }
}
