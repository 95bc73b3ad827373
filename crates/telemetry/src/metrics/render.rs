//! Metrics as text: the Prometheus exposition format 0.0.4, and `OpenMetrics` 1.0.

use std::fmt::{self, Display, Write as _};

use crate::metrics::scrape::{Scrape, Scraped, Value};
use crate::metrics::series::{Kind, Unit};

/// All metrics as a scraper reads them.
#[derive(Debug)]
pub struct Exposition {
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The metrics.
    pub body: String,
}

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` field prefers: Prometheus' own, unless the other is named and not liked less.
    pub(crate) fn preferred(accept: Option<&str>) -> Self {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0));
            match media.as_str() {
                "application/openmetrics-text" => open = quality.max(open),
                "text/plain" => plain = quality.max(plain),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Scrape {
    pub(crate) fn render(&self, format: Format) -> Exposition {
        let mut text = Text { format, body: String::new() };
        for family in self.families.values() {
            // Writing into a string cannot fail.
            text.family(family).ok();
        }
        if format == Format::OpenMetrics {
            text.body.push_str("# EOF\n");
        }
        Exposition { content_type: format.content_type(), body: text.body }
    }
}

struct Text {
    format: Format,
    body: String,
}

impl Text {
    fn family(&mut self, family: &Scraped) -> fmt::Result {
        let definition = family.definition;
        let suffix = match (family.kind, self.format) {
            (Kind::Counter, Format::Prometheus) => "_total",
            (Kind::Counter | Kind::Gauge | Kind::Histogram | Kind::Summary, _) => "",
        };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let help = Escaped { text: definition.help, quotes: self.format == Format::OpenMetrics };
        writeln!(self.body, "# HELP {}{suffix} {help}", definition.name)?;
        writeln!(self.body, "# TYPE {}{suffix} {kind}", definition.name)?;
        if let (Some(unit), Format::OpenMetrics) = (definition.unit.name(), self.format)
            && definition.name.ends_with(unit)
        {
            writeln!(self.body, "# UNIT {} {unit}", definition.name)?;
        }
        family.samples.iter().try_for_each(|(labels, value)| self.sample(family, labels, value))
    }

    fn sample(&mut self, family: &Scraped, values: &[Box<str>], value: &Value) -> fmt::Result {
        let unit = family.definition.unit;
        let labels = Labels { names: family.definition.labels, values, bound: None };
        let name = family.definition.name;
        let total = match family.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram | Kind::Summary => "",
        };
        match value {
            Value::Whole(value) => self.line(name, total, &labels, unit.shown(*value)),
            Value::Level(value) => self.line(name, total, &labels, value),
            Value::Fraction(value) => self.line(name, total, &labels, value),
            Value::Total { count, sum } => {
                self.line(name, "_sum", &labels, unit.shown(*sum))?;
                self.line(name, "_count", &labels, count)
            }
            Value::Distribution { buckets, sum } => {
                let mut count = 0;
                let bounds = family.definition.bounds.iter().map(Some).chain([None]);
                for (bound, bucket) in bounds.zip(buckets) {
                    count += bucket;
                    let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| self.bound(unit.shown(*bound)));
                    self.line(name, "_bucket", &Labels { bound: Some(&bound), ..labels }, count)?;
                }
                self.line(name, "_sum", &labels, unit.shown(*sum))?;
                self.line(name, "_count", &labels, count)
            }
        }
    }

    /// `OpenMetrics` wants bounds to look like fractions, so that they are the same text everywhere.
    fn bound(&self, bound: Shown) -> String {
        let text = bound.to_string();
        if self.format == Format::OpenMetrics && !text.contains('.') { text + ".0" } else { text }
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &Labels<'_>, value: impl Display) -> fmt::Result {
        write!(self.body, "{name}{suffix}")?;
        let pairs = labels.names.iter().copied().zip(labels.values.iter().map(|value| &**value));
        let mut before = '{';
        for (label, value) in pairs.chain(labels.bound.map(|bound| ("le", bound))) {
            write!(self.body, "{before}{label}=\"{}\"", Escaped { text: value, quotes: true })?;
            before = ',';
        }
        if before == ',' {
            self.body.push('}');
        }
        writeln!(self.body, " {value}")
    }
}

/// What stands between the braces of a sample.
#[derive(Clone, Copy)]
struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [Box<str>],
    /// The upper bound of a histogram's bucket.
    bound: Option<&'a str>,
}

impl Unit {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Bytes => Some("bytes"),
            Self::Seconds => Some("seconds"),
        }
    }

    fn shown(self, kept: u64) -> Shown {
        match self {
            Self::Count | Self::Bytes => Shown::Whole(kept),
            Self::Seconds => Shown::Nanoseconds(kept),
        }
    }
}

/// A number as it is kept, shown in its unit.
#[derive(Clone, Copy)]
enum Shown {
    Whole(u64),
    Nanoseconds(u64),
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = match self {
            Self::Whole(value) => return write!(f, "{value}"),
            Self::Nanoseconds(nanoseconds) => nanoseconds,
        };
        let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{seconds}");
        }
        let rest = format!("{rest:09}");
        write!(f, "{seconds}.{}", rest.trim_end_matches('0'))
    }
}

/// Text with what would end it or its line escaped.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.quotes => f.write_str("\\\""),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Counter, Definition, Gauge, Histogram, Registry, Summary};

    static DURATION: Definition = Definition {
        name: "http_server_request_duration_seconds",
        help: "How long requests took.",
        labels: &["route", "method"],
        unit: Unit::Seconds,
        bounds: &[5_000_000, 1_000_000_000],
    };
    static REFUSED: Definition = Definition {
        name: "vestibule_refused",
        help: "Said \"no\"\\.",
        labels: &["reason"],
        unit: Unit::Count,
        bounds: &[],
    };
    static GENERATION: Definition = Definition {
        name: "vestibule_config_generation",
        help: "Which configuration serves.",
        labels: &[],
        unit: Unit::Count,
        bounds: &[],
    };
    static BODY: Definition = Definition {
        name: "http_server_request_body_size_bytes",
        help: "Body bytes.",
        labels: &["route"],
        unit: Unit::Bytes,
        bounds: &[],
    };

    fn some_metrics() -> Registry {
        let registry = Registry::new(100);
        let duration = registry.family::<Histogram>(&DURATION).with(&["/a/{id}", "GET"]);
        duration.observe(5_000_000);
        duration.observe(5_000_001);
        duration.observe(2_500_000_000);
        registry.family::<Counter>(&REFUSED).with(&["\"quoted\"\\\n"]).add(3);
        registry.family::<Gauge>(&GENERATION).with(&[]).set(-4);
        registry.family::<Summary>(&BODY).with(&["/a"]).observe(70);
        registry
    }

    #[test]
    fn prometheus_text_has_the_form_that_scrapers_expect() {
        let exposition = some_metrics().render(None);

        assert_eq!(exposition.content_type, "text/plain; version=0.0.4; charset=utf-8");
        let expected = r#"# HELP http_server_request_body_size_bytes Body bytes.
# TYPE http_server_request_body_size_bytes summary
http_server_request_body_size_bytes_sum{route="/a"} 70
http_server_request_body_size_bytes_count{route="/a"} 1
# HELP http_server_request_duration_seconds How long requests took.
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{route="/a/{id}",method="GET",le="0.005"} 1
http_server_request_duration_seconds_bucket{route="/a/{id}",method="GET",le="1"} 2
http_server_request_duration_seconds_bucket{route="/a/{id}",method="GET",le="+Inf"} 3
http_server_request_duration_seconds_sum{route="/a/{id}",method="GET"} 2.510000001
http_server_request_duration_seconds_count{route="/a/{id}",method="GET"} 3
# HELP vestibule_config_generation Which configuration serves.
# TYPE vestibule_config_generation gauge
vestibule_config_generation -4
# HELP vestibule_refused_total Said "no"\\.
# TYPE vestibule_refused_total counter
vestibule_refused_total{reason="\"quoted\"\\\n"} 3
"#;
        assert_eq!(exposition.body, expected);
    }

    #[test]
    fn openmetrics_text_names_units_and_ends_with_eof() {
        let exposition = some_metrics().render(Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));

        assert_eq!(exposition.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        for line in [
            "# UNIT http_server_request_duration_seconds seconds",
            "http_server_request_duration_seconds_bucket{route=\"/a/{id}\",method=\"GET\",le=\"1.0\"} 2",
            "# TYPE vestibule_refused counter",
            "# HELP vestibule_refused Said \\\"no\\\"\\\\.",
        ] {
            assert!(exposition.body.lines().any(|found| found == line), "{line} in\n{}", exposition.body);
        }
        assert!(exposition.body.ends_with("\n# EOF\n"));
    }

    #[test]
    fn the_accept_field_chooses_the_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some(prometheus), Format::OpenMetrics),
            (Some("text/plain, application/openmetrics-text;q=0.9"), Format::Prometheus),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (Some("application/openmetrics-text; q=nonsense"), Format::Prometheus),
        ] {
            assert_eq!(Format::preferred(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn label_sets_beyond_the_bound_are_counted_as_other_and_said_so() {
        let registry = Registry::new(2);
        let refused = registry.family::<Counter>(&REFUSED);

        for reason in ["a", "b", "c", "d", "a"] {
            refused.with(&[reason]).add(1);
        }

        let body = registry.render(None).body;
        for line in [
            "vestibule_refused_total{reason=\"a\"} 2",
            "vestibule_refused_total{reason=\"b\"} 1",
            "vestibule_refused_total{reason=\"other\"} 2",
            "vestibule_metric_overflows_total{metric=\"vestibule_refused\"} 2",
        ] {
            assert!(body.contains(line), "{line} in\n{body}");
        }
    }

    #[test]
    fn a_label_set_is_forgotten_only_when_nobody_holds_it() {
        let registry = Registry::new(9);
        let refused = registry.family::<Counter>(&REFUSED);
        let held = refused.with(&["held"]);
        held.add(1);
        refused.with(&["left"]).add(1);

        refused.sweep();

        let body = registry.render(None).body;
        assert!(body.contains("reason=\"held\"} 1"));
        assert!(!body.contains("reason=\"left\""));
    }
}
