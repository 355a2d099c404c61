//! What the process tells while it works: events on standard error, and traces to a collector if there is one.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::output::{self, LogWriter};
use super::{Global, LogFormat};

/// What has to be ended before the process ends.
pub(super) struct Telemetry {
    #[cfg(feature = "otlp")]
    traces: Option<traces::Traces>,
}

impl Telemetry {
    /// Begins. Events: warnings, with `-v` the course of a run, with `-vv` every request; `D365MAP_LOG` sets it in detail. A watch runs
    /// unattended for months and its log is all that it says: it has the course of its workflows and of the services as well.
    pub fn start(global: &Global, watches: bool) -> Telemetry {
        let level = match global.verbose {
            0 if watches && !global.quiet => {
                "warn,d365map::run::watch=info,d365map::run::round_log=info,d365map::connect::http=info,d365map::audit=info"
            }
            0 => "warn",
            1 => "d365map=info,warn",
            _ => "d365map=debug,info",
        };
        let filter = EnvFilter::try_from_env("D365MAP_LOG").unwrap_or_else(|_| EnvFilter::new(level));
        let json = global.log_format == LogFormat::Json;
        let color = output::stderr_style().color && !json;
        let lines = fmt::layer().with_writer(LogWriter { json, color }).with_ansi(color).with_target(false);
        let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
            output::log_warnings_as_events();
            lines.json().with_filter(filter).boxed()
        } else {
            lines.with_filter(filter).boxed()
        };
        #[cfg(feature = "otlp")]
        {
            let traces = traces::Traces::of_environment();
            let layer = traces.as_ref().map(traces::Traces::layer);
            // A second call can only come from a test that runs the command in its own process.
            let _ = tracing_subscriber::registry().with(lines).with(layer).try_init();
            Telemetry { traces }
        }
        #[cfg(not(feature = "otlp"))]
        {
            let _ = tracing_subscriber::registry().with(lines).try_init();
            Telemetry {}
        }
    }

    /// Sends what is left. Not to be called in asynchronous code.
    pub fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.end();
        }
    }
}

/// Traces by OTLP over HTTP. The spans are those with the target `d365map::span`: a round, and each request to a service. They have no ids
/// of records, no addresses with ids and no values.
#[cfg(feature = "otlp")]
mod traces {
    use std::time::Duration;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::registry::LookupSpan;

    /// How long the last spans may take to be sent.
    const LAST: Duration = Duration::from_secs(5);

    /// The variables that say where the collector is (OpenTelemetry: *OTLP exporter configuration*). Without them, nothing is traced.
    const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

    pub(super) struct Traces(SdkTracerProvider);

    impl Traces {
        /// Traces as the variables of OpenTelemetry say; `None` if they name no collector.
        pub fn of_environment() -> Option<Traces> {
            ENDPOINTS.iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
            match SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build() {
                Ok(exporter) => {
                    let resource = Resource::builder().with_service_name("d365map").build();
                    Some(Traces(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
                }
                Err(error) => {
                    super::output::warning(&format!("traces are not sent to the collector: {error}"));
                    None
                }
            }
        }

        pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
        where
            S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
        {
            tracing_opentelemetry::layer()
                .with_tracer(self.0.tracer("d365map"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(|metadata: &tracing::Metadata<'_>| metadata.target() == "d365map::span"))
        }

        pub fn end(self) {
            if let Err(error) = self.0.shutdown_with_timeout(LAST) {
                tracing::debug!(%error, "the last spans were not sent");
            }
        }
    }
}
