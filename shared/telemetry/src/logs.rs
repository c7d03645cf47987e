//! Logs on standard error: one flat JSON object per line, or text for people.
//!
//! Fields of the enclosing spans are next to those of the event, under their dotted names, so that `job.id = 7` finds
//! every line of a job.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::{Environment, table};

/// Default log levels of dependencies; the operator's filter can override them.
///
/// lapin and the certificate verifier log what they also return as an error; lapin's lines contain the bodies of
/// returned messages. The HTTP and Postgres clients log every connection.
const QUIET: &str = "lapin=off,hyper=warn,hyper_util=warn,h2=warn,rustls=warn,rustls_platform_verifier=off,tokio_postgres=warn,aws_config=warn";

/// Targets that log at most `info`, even if the operator's filter asks for more. Their more detailed lines contain
/// signed requests, logins, headers and parameters of statements, where credentials are. Some of these crates leave
/// credentials out today, but they do not guarantee it.
const CAPPED: [&str; 7] = ["aws_", "hyper", "h2", "lapin", "rustls", "tokio_postgres", "reqwest"];

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

impl FromStr for LogFormat {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LogsError::Format),
        }
    }
}

/// Logging could not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error("the log format is neither json nor text")]
    Format,
    #[error("the log filter is not valid")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    #[error("logging has already been started")]
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The operator's settings for logs.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `LONGSHORE_LOG_FORMAT`.
    pub format: LogFormat,
    /// `LONGSHORE_LOG`: a level such as `info`, or directives such as `info,longshore_worker=debug`; those override the
    /// quiet defaults for noisy dependencies.
    pub filter: String,
}

impl LogSettings {
    /// Reads both settings from the environment.
    pub fn read(read: &mut Environment<'_>) -> Self {
        Self {
            format: read.parsed(&table::LOG_FORMAT).unwrap_or(LogFormat::Json),
            filter: read.text(&table::LOG).unwrap_or_default(),
        }
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// The filter is invalid, or logging has already been started.
pub fn init_logs(settings: &LogSettings) -> Result<(), LogsError> {
    let subscriber = filter_layers(&settings.filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => subscriber.with(lines.fmt_fields(JsonFields::new()).event_format(FlatJson)).try_init(),
        LogFormat::Text => subscriber.with(lines).try_init(),
    }
    .map_err(|error| LogsError::Started(error.into()))
}

/// Combines the quiet defaults, the operator's filter and the cap. Of two directives for one target, the later one
/// applies, so the operator's override the defaults.
fn filter_layers(filter: &str) -> Result<impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync, LogsError> {
    let quiet = EnvFilter::builder().parse(format!("{QUIET},{filter}")).map_err(LogsError::Filter)?;
    // A name matches every target that begins with it.
    let capped = CAPPED.map(|target| (target, LevelFilter::INFO));
    let cap = Targets::new().with_default(LevelFilter::TRACE).with_targets(capped);
    Ok(tracing_subscriber::registry().with(quiet).with(cap))
}

/// Writes time, level, target, message, and all fields of spans and event in one flat object. If names clash, the
/// innermost field wins.
struct FlatJson;

impl<S, N> FormatEvent<S, N> for FlatJson
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("time".to_owned(), Value::String(time));
        line.insert("level".to_owned(), Value::String(event.metadata().level().as_str().to_ascii_lowercase()));
        line.insert("target".to_owned(), Value::String(event.metadata().target().to_owned()));
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                merge(&mut line, fields);
            }
        }
        let mut fields = String::new();
        ctx.format_fields(Writer::new(&mut fields), event)?;
        merge(&mut line, &fields);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Adds the fields of a formatted JSON object to the line.
fn merge(line: &mut Map<String, Value>, fields: &str) {
    if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
        line.extend(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for CapturedLog {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn lines(filter: &str, log: impl FnOnce()) -> Vec<Value> {
        let captured = CapturedLog::default();
        let lines = tracing_subscriber::fmt::layer().with_writer(captured.clone());
        let lines = lines.fmt_fields(JsonFields::new()).event_format(FlatJson);
        tracing::subscriber::with_default(filter_layers(filter).unwrap().with(lines), log);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn fields_of_spans_and_event_are_in_one_flat_object() {
        let lines = lines("info", || {
            let _sync = tracing::info_span!("sync", sync.id = 3).entered();
            let job = tracing::info_span!("job", job.id = 7, job.attempt = tracing::field::Empty).entered();
            job.record("job.attempt", 2);
            tracing::warn!(page.keys = 1000, "a \"quoted\"\nmessage");
        });
        let [line] = &lines[..] else { panic!("one line: {lines:?}") };
        assert_eq!(line["message"], "a \"quoted\"\nmessage");
        assert_eq!(line["level"], "warn");
        assert_eq!((&line["sync.id"], &line["job.id"]), (&3.into(), &7.into()));
        assert_eq!((&line["job.attempt"], &line["page.keys"]), (&2.into(), &1000.into()));
    }

    #[test]
    fn a_noisy_dependency_is_quiet_until_the_operator_asks() {
        let speak = || tracing::error!(target: "lapin::io_loop", "noise");
        assert_eq!(lines("debug", speak).len(), 0);
        assert_eq!(lines("debug,lapin=info", speak).len(), 1);
    }

    #[test]
    fn targets_that_may_log_credentials_stay_capped() {
        for filter in ["trace", "trace,aws_sigv4=trace,lapin=trace,tokio_postgres=debug,hyper_util=trace"] {
            let logged = lines(filter, || {
                tracing::trace!(target: "aws_sigv4::http_request::sign", "canonical request");
                tracing::debug!(target: "tokio_postgres::query", "parameters");
                tracing::debug!(target: "hyper_util::client", "headers");
                tracing::trace!(target: "lapin::frames", "login");
                tracing::trace!(target: "longshore_worker", "ours");
            });
            let [line] = &logged[..] else { panic!("{filter}: {logged:?}") };
            assert_eq!(line["message"], "ours");
        }
    }

    #[test]
    fn a_wrong_filter_or_format_is_refused() {
        assert!(matches!(filter_layers("info,a=b=c"), Err(LogsError::Filter(_))));
        assert!(matches!("xml".parse::<LogFormat>(), Err(LogsError::Format)));
    }
}
