//! Everything that the reference manuals of `ModSecurity` 2.9 and 3 know can be written: it works, has no effect and a note that
//! says why, or is refused with a reason. Nothing of it is unknown, and nothing else is known.

#![expect(clippy::panic, reason = "a test may panic")]

use waf::{Compatibility, Rules};

const DIRECTIVES: &[&str] = &[
    "SecAction \"id:1,phase:1,pass\"",
    "SecArgumentSeparator ;",
    "SecArgumentsLimit 100",
    "SecAuditEngine RelevantOnly",
    "SecAuditLog /var/log/audit.log",
    "SecAuditLog2 /var/log/audit2.log",
    "SecAuditLogDirMode 02750",
    "SecAuditLogFileMode 00640",
    "SecAuditLogFormat JSON",
    "SecAuditLogParts ABCDEFGHIJKZ",
    "SecAuditLogPrefix audit",
    "SecAuditLogRelevantStatus \"^5\"",
    "SecAuditLogStorageDir /var/log/audit",
    "SecAuditLogType Concurrent",
    "SecCacheTransformations On \"minlen:64\"",
    "SecChrootDir /srv",
    "SecCollectionTimeout 700",
    "SecComponentSignature \"rules/1.0\"",
    "SecConnEngine On",
    "SecConnReadStateLimit 50",
    "SecConnWriteStateLimit 50",
    "SecContentInjection On",
    "SecCookieFormat 1",
    "SecCookieV0Separator ,",
    "SecDataDir /tmp",
    "SecDebugLog /var/log/debug.log",
    "SecDebugLogLevel 4",
    "SecDefaultAction \"phase:2,log,auditlog,pass\"",
    "SecDisableBackendCompression On",
    "SecGeoLookupDb /usr/share/GeoIP/GeoLite2.mmdb",
    "SecGsbLookupDb /tmp/gsb",
    "SecGuardianLog |/usr/bin/httpd-guardian",
    "SecHashEngine On",
    "SecHashKey \"key\" KeyOnly",
    "SecHashMethodPm HashHref \"a b\"",
    "SecHashMethodRx HashHref \"a\"",
    "SecHashParam \"crypt\"",
    "SecHttpBlKey whdkfieyhtnf",
    "SecInterceptOnError On",
    "SecMarker END",
    "SecParseXmlIntoArgs On",
    "SecPcreMatchLimit 1500",
    "SecPcreMatchLimitRecursion 1500",
    "SecReadStateLimit 50",
    "SecRemoteRules key https://rules.example/",
    "SecRemoteRulesFailAction Warn",
    "SecRequestBodyAccess On",
    "SecRequestBodyInMemoryLimit 131072",
    "SecRequestBodyJsonDepthLimit 100",
    "SecRequestBodyLimit 134217728",
    "SecRequestBodyLimitAction ProcessPartial",
    "SecRequestBodyNoFilesLimit 131072",
    "SecRequestEncoding utf-8",
    "SecResponseBodyAccess On",
    "SecResponseBodyLimit 524228",
    "SecResponseBodyLimitAction Reject",
    "SecResponseBodyMimeType text/plain text/html",
    "SecResponseBodyMimeTypesClear",
    "SecRule ARGS \"@rx a\" \"id:2,phase:2,pass\"",
    "SecRuleEngine DetectionOnly",
    "SecRuleInheritance Off",
    "SecRulePerfTime 1000",
    "SecRuleRemoveById 1 2 \"9000-9010\"",
    "SecRuleRemoveByMsg \"FAIL\"",
    "SecRuleRemoveByTag \"WEB_ATTACK/XSS\"",
    "SecRuleScript /etc/a.lua \"id:3,deny\"",
    "SecRuleUpdateActionById 12345 \"deny,status:403\"",
    "SecRuleUpdateActionById 12345:1 \"t:none\"",
    "SecRuleUpdateTargetById 12345 \"!ARGS:foo,!XML\"",
    "SecRuleUpdateTargetById 12345 \"REQUEST_URI\" \"REQUEST_FILENAME\"",
    "SecRuleUpdateTargetByMsg \"Cross\" \"!ARGS:foo\"",
    "SecRuleUpdateTargetByTag \"attack-xss\" \"!ARGS:/^re/\"",
    "SecSensorId here",
    "SecServerSignature \"Apache\"",
    "SecStatusEngine On",
    "SecStreamInBodyInspection On",
    "SecStreamOutBodyInspection On",
    "SecTmpDir /tmp",
    "SecTmpSaveUploadedFiles On",
    "SecUnicodeCodePage 20127",
    "SecUnicodeMapFile unicode.mapping 20127",
    "SecUploadDir /tmp",
    "SecUploadFileLimit 10",
    "SecUploadFileMode 0640",
    "SecUploadKeepFiles RelevantOnly",
    "SecWebAppId app1",
    "SecWriteStateLimit 50",
    "SecXmlExternalEntity Off",
    "IncludeOptional nothing-*.conf",
];

const OPERATORS: &[&str] = &[
    "beginsWith a",
    "contains a",
    "containsWord a",
    "detectSQLi",
    "detectXSS",
    "endsWith a",
    "eq 1",
    "fuzzyHash /etc/hashes 6",
    "ge 1",
    "geoLookup",
    "gsbLookup =\\\"([^\\\"]*)",
    "gt 1",
    "inspectFile /bin/true",
    "ipMatch 192.0.2.0/24,2001:db8::/32",
    "le 1",
    "lt 1",
    "noMatch",
    "pm a1 b2",
    "rbl bl.example",
    "rsub s/a/b/",
    "rx ^a",
    "rxGlobal a",
    "streq %{REQUEST_HEADERS.host}",
    "strmatch a",
    "unconditionalMatch",
    "validateByteRange 10,13,32-126",
    "validateDTD /etc/a.dtd",
    "validateHash (a)",
    "validateSchema /etc/a.xsd",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC \\d{13,16}",
    "verifyCPF ^\\d{11}$",
    "verifySSN \\d{9}",
    "verifySVNR ^\\d{10}$",
    "within GET,POST",
];

const VARIABLES: &str = "
    ARGS ARGS:a &ARGS ARGS:/^a/ ARGS_COMBINED_SIZE ARGS_GET ARGS_GET_NAMES ARGS_NAMES ARGS_POST ARGS_POST_NAMES
    AUTH_TYPE DURATION ENV:a FILES FILES_COMBINED_SIZE FILES_NAMES FILES_SIZES FILES_TMP_CONTENT FILES_TMPNAMES
    FULL_REQUEST FULL_REQUEST_LENGTH GEO:COUNTRY_CODE GLOBAL:a HIGHEST_SEVERITY HTTP_USER_AGENT INBOUND_DATA_ERROR
    IP:a MATCHED_VAR MATCHED_VARS MATCHED_VAR_NAME MATCHED_VARS_NAMES MODSEC_BUILD MSC_PCRE_ERROR
    MSC_PCRE_LIMITS_EXCEEDED MULTIPART_BOUNDARY_QUOTED MULTIPART_BOUNDARY_WHITESPACE MULTIPART_CRLF_LF_LINES
    MULTIPART_CRLF_LINE MULTIPART_DATA_AFTER MULTIPART_DATA_BEFORE MULTIPART_FILE_LIMIT_EXCEEDED MULTIPART_FILENAME
    MULTIPART_HEADER_FOLDING MULTIPART_INVALID_HEADER_FOLDING MULTIPART_INVALID_PART MULTIPART_INVALID_QUOTING
    MULTIPART_LF_LINE MULTIPART_MISSING_SEMICOLON MULTIPART_SEMICOLON_MISSING MULTIPART_NAME MULTIPART_PART_HEADERS:a MULTIPART_STRICT_ERROR
    MULTIPART_UNMATCHED_BOUNDARY OUTBOUND_DATA_ERROR PATH_INFO PERF_ALL PERF_COMBINED PERF_GC PERF_LOGGING PERF_PHASE1
    PERF_PHASE2 PERF_PHASE3 PERF_PHASE4 PERF_PHASE5 PERF_RULES PERF_SREAD PERF_SWRITE QUERY_STRING REMOTE_ADDR
    REMOTE_HOST REMOTE_PORT REMOTE_USER REQBODY_ERROR REQBODY_ERROR_MSG REQBODY_PROCESSOR REQBODY_PROCESSOR_ERROR
    REQBODY_PROCESSOR_ERROR_MSG REQUEST_BASENAME REQUEST_BODY REQUEST_BODY_LENGTH REQUEST_COOKIES
    REQUEST_COOKIES_NAMES REQUEST_FILENAME REQUEST_HEADERS REQUEST_HEADERS_NAMES REQUEST_LINE REQUEST_METHOD
    REQUEST_PROTOCOL REQUEST_URI REQUEST_URI_RAW RESOURCE:a RESPONSE_BODY RESPONSE_CONTENT_LENGTH
    RESPONSE_CONTENT_TYPE RESPONSE_HEADERS RESPONSE_HEADERS_NAMES RESPONSE_PROTOCOL RESPONSE_STATUS RULE:id
    SCRIPT_BASENAME SCRIPT_FILENAME SCRIPT_GID SCRIPT_GROUPNAME SCRIPT_MODE SCRIPT_UID SCRIPT_USERNAME
    SDBM_DELETE_ERROR SERVER_ADDR SERVER_NAME SERVER_PORT SESSION:a SESSIONID STATUS STATUS_LINE STREAM_INPUT_BODY
    STREAM_OUTPUT_BODY TIME TIME_DAY TIME_EPOCH TIME_HOUR TIME_MIN TIME_MON TIME_SEC TIME_WDAY TIME_YEAR TX:a
    UNIQUE_ID URLENCODED_ERROR USER:a USERAGENT_IP USERID WEBAPPID WEBSERVER_ERROR_LOG XML XML:/* XML://@*
";

const TRANSFORMATIONS: &str = "
    base64Decode base64DecodeExt base64Encode cmdLine compressWhitespace cssDecode escapeSeqDecode hexDecode hexEncode
    htmlEntityDecode jsDecode length lowercase md5 none normalisePath normalisePathWin normalizePath normalizePathWin
    parityEven7bit parityOdd7bit parityZero7bit removeComments removeCommentsChar removeNulls removeWhitespace
    replaceComments replaceNulls sha1 sqlHexDecode trim trimLeft trimRight uppercase urlDecode urlDecodeUni urlEncode
    utf8toUnicode
";

const ACTIONS: &str = "
    accuracy:1 allow allow:phase allow:request append:'a' auditlog block capture ctl:auditEngine=Off
    ctl:auditLogParts=+E ctl:debugLogLevel=9 ctl:forceRequestBodyVariable=On ctl:hashEnforcement=On ctl:hashEngine=On
    ctl:parseXmlIntoArgs=On ctl:requestBodyAccess=On ctl:requestBodyLimit=100 ctl:requestBodyProcessor=XML
    ctl:responseBodyAccess=On ctl:responseBodyLimit=100 ctl:ruleEngine=DetectionOnly ctl:ruleRemoveById=5
    ctl:ruleRemoveById=5-9 ctl:ruleRemoveByMsg=a ctl:ruleRemoveByTag=a ctl:ruleRemoveTargetById=5;ARGS:a
    ctl:ruleRemoveTargetByMsg=a;ARGS:a ctl:ruleRemoveTargetByTag=a;ARGS deny deprecatevar:session.score=60/300 drop
    exec:/bin/true expirevar:ip.a=60 initcol:ip=%{REMOTE_ADDR} log logdata:a maturity:1 msg:'a' multiMatch noauditlog
    nolog pass pause:1000 prepend:'a' proxy:http://a.example/ redirect:'http://a.example/' rev:1 sanitiseArg:a
    sanitiseMatched sanitiseMatchedBytes:1/2 sanitiseMatchedBytes sanitiseRequestHeader:a sanitiseResponseHeader:a
    sanitizeArg:a setenv:a=b setrsc:'a' setsid:%{REQUEST_COOKIES.a} setuid:%{ARGS.a} setvar:tx.a=1
    setvar:'tx.a=+%{tx.b}' setvar:!tx.a setvar:tx.a severity:CRITICAL severity:'2' skip:1 skipAfter:END status:403
    t:none tag:'a' ver:'a' xmlns:a='http://a.example/'
";

/// What is said of rules that are read strictly, and that lenient reading takes them all.
fn findings(rules: &str) -> Vec<String> {
    if let Err(findings) = Rules::parse("a.conf", rules.as_bytes(), Compatibility::Lenient) {
        let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
        panic!("not even lenient: {rules}: {}", text.join("; "));
    }
    match Rules::parse("a.conf", rules.as_bytes(), Compatibility::Strict) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

/// The rules that a construct stands in.
fn all() -> impl Iterator<Item = (&'static str, String)> {
    let directives = DIRECTIVES.iter().map(|known| (*known, (*known).to_owned()));
    let operators =
        OPERATORS.iter().map(|known| (*known, format!("SecRule ARGS \"@{known}\" \"id:1,phase:2,pass,t:none\"")));
    let variables = VARIABLES
        .split_whitespace()
        .map(|known| (known, format!("SecRule {known} \"@rx a\" \"id:1,phase:5,pass,t:none\"")));
    let transformations = TRANSFORMATIONS
        .split_whitespace()
        .map(|known| (known, format!("SecRule ARGS \"@rx a\" \"id:1,phase:2,pass,t:{known}\"")));
    let actions = ACTIONS.split_whitespace().map(|known| {
        (known, format!("SecRule ARGS \"@rx a\" \"id:1,phase:2,{known}\"\nSecAction \"id:2,pass\"\nSecMarker END"))
    });
    directives.chain(operators).chain(variables).chain(transformations).chain(actions)
}

#[test]
fn all_that_the_reference_manuals_know_works_or_is_refused_with_a_reason() {
    let mut refused = Vec::new();
    for (known, rules) in all() {
        for finding in findings(&rules) {
            let reason = finding.split_once(" cannot be done here: ").map(|(_, reason)| reason);
            assert!(finding.starts_with("a.conf:1:"), "no place: {finding}");
            assert!(reason.is_some_and(|reason| reason.len() > 20), "{known}: {finding}");
            // Its name, without what was written behind it.
            let end = if known.starts_with("ctl:") { known.find('=') } else { known.find([' ', ':']) };
            refused.push(known.get(..end.unwrap_or(known.len())).unwrap());
        }
    }
    // What is refused is listed in the documentation.
    let expected = "
        SecChrootDir SecConnEngine SecContentInjection SecGeoLookupDb SecGsbLookupDb SecGuardianLog SecHashEngine
        SecHashMethodPm SecHashMethodRx SecHttpBlKey SecParseXmlIntoArgs SecRemoteRules SecRuleScript
        SecStreamInBodyInspection SecStreamOutBodyInspection SecUploadKeepFiles fuzzyHash geoLookup gsbLookup
        inspectFile rbl rsub validateDTD validateHash validateSchema FILES_TMPNAMES GEO PATH_INFO PERF_ALL PERF_COMBINED
        PERF_GC PERF_LOGGING PERF_PHASE1 PERF_PHASE2 PERF_PHASE3 PERF_PHASE4 PERF_PHASE5 PERF_RULES PERF_SREAD PERF_SWRITE
        SCRIPT_BASENAME SCRIPT_FILENAME SCRIPT_GID SCRIPT_GROUPNAME SCRIPT_MODE SCRIPT_UID SCRIPT_USERNAME
        SDBM_DELETE_ERROR STREAM_OUTPUT_BODY WEBSERVER_ERROR_LOG XML append ctl:hashEnforcement ctl:hashEngine
        ctl:parseXmlIntoArgs exec pause prepend proxy xmlns
    ";
    assert_eq!(refused, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn what_no_manual_knows_is_a_finding_with_its_place_and_what_to_do() {
    for (rules, finding) in [
        ("SecRulle ARGS a \"id:1\"", "a.conf:1:1: there is no directive SecRulle: is it SecRule?"),
        ("SecFrobnicate On", "a.conf:1:1: is no directive: see the list in the reference"),
        ("SecRule ARGS \"@frob a\" \"id:1\"", "a.conf:1:16: there is no operator @frob: see the list in the reference"),
        ("SecRule FROBS a \"id:1\"", "a.conf:1:9: there is no variable FROBS: see the list in the reference"),
        ("SecRule ARGS a \"id:1,frob\"", "a.conf:1:22: there is no action frob: see the list in the reference"),
        (
            "SecRule ARGS a \"id:1,t:frob\"",
            "a.conf:1:24: there is no transformation frob: see the list in the reference",
        ),
        ("SecRule ARGS a \"id:1,ctl:frob=1\"", "a.conf:1:26: there is no ctl `frob`: see the list in the reference"),
        (
            "SecRule ARGS a \"id:1,msg:'%{FROBS.a}'\"",
            "a.conf:1:29: there is no variable FROBS: see the list in the reference",
        ),
        (
            "SecRule ARGS a \"id:1,setvar:frob.a=1\"",
            "a.conf:1:29: `frob` cannot be set: write tx, ip, session, user, resource or global",
        ),
        ("SecRule ARGS a \"id:1,initcol:frob=1\"", "a.conf:1:30: must be ip, global, resource, session or user"),
        (
            "SecAction \"id:1,phase:1,pass,ctl:auditLogParts=+EX\"",
            "a.conf:1:50: there is no such part of an audit log: write letters from A to K, and Z",
        ),
        (
            "SecAuditLogParts AXZ",
            "a.conf:1:19: there is no such part of an audit log: write letters from A to K, and Z",
        ),
    ] {
        let found = Rules::parse("a.conf", rules.as_bytes(), Compatibility::Strict).map(|_| ()).unwrap_err();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [finding], "{rules}");
    }
}
