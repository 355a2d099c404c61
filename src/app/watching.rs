//! A project that is watched in this process: what a watch needs beside its plan, made from the project file.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::notify::{Channels, Notifier};
use super::source::{FilesOnDisk, Started};
use super::{services, webhook};
use crate::connect::Http;
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::{self, Options, Publisher, RunError, Services, Settings, Summary, Supervision, Upkeep};
use crate::store::Stores;

/// What a watch works with.
pub struct Watching {
    /// The project.
    pub project: Project,
    /// Its name in messages to people.
    pub name: String,
    /// The plan file, where the process was started with one.
    pub plan_file: Option<PathBuf>,
    /// Whether workflows start on a breaking drift too.
    pub ignore_drift: bool,
    /// The plan to begin with.
    pub plan: Arc<ExecutionPlan>,
    /// What the workflows talk to.
    pub services: Services,
    /// The HTTP layer below it.
    pub http: Http,
    /// The state, opened for a run.
    pub stores: Stores,
    /// The address for notifications, if there is one.
    pub webhook: Option<webhook::Bound>,
    /// What happens once a day beside the workflows.
    pub upkeep: Vec<Arc<dyn Upkeep>>,
    /// How people are notified.
    pub channels: Channels,
    /// Gives settings that have changed.
    pub settings: Option<watch::Receiver<Settings>>,
    /// Told of each workflow that is started again.
    pub started: Option<Started>,
}

impl Watching {
    /// Watches until `stop` is cancelled. Stores what the services were sent, also if the watch ends with an error.
    ///
    /// # Errors
    /// The address for notifications cannot be served: nothing has run. The inner error is the watch's.
    pub async fn go(
        self,
        options: Options,
        events: Publisher,
        stop: CancellationToken,
    ) -> Result<Result<Summary, RunError>, webhook::WebhookError> {
        let Watching { project, name, plan_file, ignore_drift, plan, services, http, stores, webhook, upkeep, channels, settings, started } =
            self;
        let served = webhook.map(|bound| bound.serve(stores.notifications.clone(), options.clock.clone())).transpose()?;
        let news = served.as_ref().map(webhook::Served::news);
        let schedules = project.schedules.clone();
        let notifier = Notifier::start(&project, &name, channels, stores.clone(), http.clone(), options.clock.clone());
        let usage = services::UsageLog::start(stores.usage.clone(), http.clone());
        let source = FilesOnDisk { project, plan: plan_file, services: services.clone(), http, ignore_drift, started };
        let supervision = Supervision { source: Arc::new(source), schedules, upkeep, news, settings };
        let result = run::watch(plan, services, stores, options, events, stop, supervision).await;
        if let Some(served) = served {
            served.end().await;
        }
        if let Some(notifier) = notifier {
            notifier.end().await;
        }
        usage.end().await;
        Ok(result)
    }
}
