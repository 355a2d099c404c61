//! Watches a project in a separate thread, as `run --watch` would, until the server ends.
//!
//! A project that cannot start (a fault in a mapping file, a service that is down, a secret that cannot be read) is tried again when its
//! files change, when somebody asks for it, and now and then. Its pages show the reason in the meantime.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::metrics::history::History;
use super::site::Served;
use crate::app::limits::{self, FirstLoad};
use crate::app::notify::Channels;
use crate::app::plan::leave_out_two_way;
use crate::app::source::{FilesOnDisk, Started};
use crate::app::watching::Watching;
use crate::app::{AppError, CommandError, drift, files, operate, options, plan, runtime, services, sign_in, state, webhook};
use crate::project::Project;
use crate::run::{Counters, Pace, Publisher};
use crate::store::Access;

/// How often the files of a project that could not start are looked at.
const FILES: Duration = Duration::from_secs(2);
/// The longest time after which a project that could not start is tried again without a reason.
const AGAIN: Duration = Duration::from_secs(60);

/// How projects are watched.
#[derive(Clone, Debug, Default)]
pub struct RunnerOptions {
    /// Start also if the services have changed in a way that breaks the mappings.
    pub ignore_drift: bool,
    /// Load more than 15,000,000 records for the first time too.
    pub ignore_limits: bool,
}

/// The threads that watch the projects.
pub struct Runners {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Runners {
    /// Begins to watch projects, and to measure what they do.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub fn start(
        projects: impl IntoIterator<Item = Arc<Served>>,
        options: &RunnerOptions,
        metrics: &Arc<Metrics>,
    ) -> Result<Runners, CommandError> {
        let stop = CancellationToken::new();
        let mut threads = Vec::new();
        for served in projects {
            let runtime = runtime()?;
            let runner = Runner { metrics: metrics.clone(), options: options.clone(), stop: stop.clone(), served };
            let thread = std::thread::Builder::new().name(format!("watch {}", runner.served.name));
            threads.push(thread.spawn(move || runner.go(&runtime)).map_err(AppError::Runtime)?);
        }
        Ok(Runners { stop, threads })
    }

    /// Finishes what is in flight, and ends. Blocks.
    pub fn end(self) {
        self.stop.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("the thread of a project ended with a panic; nothing is lost");
            }
        }
    }
}

struct Runner {
    served: Arc<Served>,
    options: RunnerOptions,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Runner {
    fn go(&self, runtime: &Runtime) {
        let mut pause = FILES;
        while !self.stop.is_cancelled() {
            let began = std::time::Instant::now();
            let problem = match self.prepare(runtime).and_then(|watching| self.watch(runtime, watching)) {
                Ok(()) if self.stop.is_cancelled() => break,
                Ok(()) => "the watch has ended".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::error!(project = self.served.name, problem, "the project is not running");
            self.served.note(|now| (now.problem, now.http) = (Some(problem), None));
            // A project that ran for a while is tried again soon, one that never starts less and less often.
            pause = if began.elapsed() > AGAIN { FILES } else { (2 * pause).min(AGAIN) };
            self.wait(runtime, pause);
        }
    }

    /// From the files as they are to what a watch needs. Blocks.
    fn prepare(&self, runtime: &Runtime) -> Result<Watching, CommandError> {
        let project = Project::load(&self.served.file).map_err(files::FilesError::from)?;
        self.served.note(|now| now.project = Arc::new(project.clone()));
        let mut plan = plan::of_project(&project)?;
        leave_out_two_way(&project, &mut plan);
        operate::refuse_unknown_schedule(&project, &plan)?;
        if !self.options.ignore_drift {
            drift::refuse(&project, Ok(Some(files::of_project(project.clone())?)), &plan)?;
        }
        if !self.options.ignore_limits
            && let FirstLoad::Unknown(error) = limits::refuse_initial(&project, &plan, None)?
        {
            tracing::warn!(project = self.served.name, %error, "the number of records to load is not known");
        }
        let webhook = webhook::bind(&project, &plan, None).map_err(CommandError::usage)?;
        let (stores, spent) = runtime.block_on(async {
            let stores = state::open(&project, Access::Run).await?;
            let spent = services::spent_today(&stores).await?;
            Ok::<_, CommandError>((stores, spent))
        })?;
        let (http, clients) = services::of_plan(&project, &plan, None, Some(&spent))?;
        let upkeep = sign_in::upkeep(&project).unwrap_or_else(|error| {
            tracing::warn!(project = self.served.name, %error, "the sign-in to Partner Center is not kept alive");
            Vec::new()
        });
        let channels = Channels::of(&project).map_err(CommandError::usage)?;
        let settings = self.served.begin_reloads(&project);
        Ok(Watching {
            project,
            name: self.served.name.clone(),
            channels,
            settings: Some(settings),
            plan_file: None,
            ignore_drift: self.options.ignore_drift,
            plan: Arc::new(plan),
            services: clients,
            http,
            stores,
            webhook,
            upkeep,
            started: Some(self.started()),
        })
    }

    /// Notes by which plan a workflow runs that was started again.
    fn started(&self) -> Started {
        let served = self.served.clone();
        Arc::new(move |workflow, plan| {
            let plan = Arc::new(plan.clone());
            served.note(|now| drop(now.started.insert(workflow.name.clone(), plan)));
        })
    }

    fn watch(&self, runtime: &Runtime, watching: Watching) -> Result<(), CommandError> {
        let (plan, http) = (watching.plan.clone(), watching.http.clone());
        self.served.note(|now| {
            (now.plan, now.http, now.problem) = (Some(plan), Some(http), None);
            now.started.clear();
        });
        let options = options::of_project(&watching.project, Pace::Watch { interval: watching.project.limits.watch_interval }, Vec::new());
        let (stores, http) = (watching.stores.clone(), watching.http.clone());
        let metrics = self.metrics.add(&self.served.name, stores, http, options.clock.clone());
        let events = Publisher::to(Arc::new(Counters::default())).and(Arc::new(self.served.live.clone())).and(metrics.clone());
        let result = runtime.block_on(async {
            let history = History::start(metrics);
            let result = watching.go(options, events, self.stop.child_token()).await;
            history.end().await;
            result
        });
        self.metrics.remove(&self.served.name);
        self.served.end_reloads();
        result.map_err(CommandError::usage)??;
        Ok(())
    }

    /// Until the files change, somebody asks, or it is time.
    fn wait(&self, runtime: &Runtime, at_most: Duration) {
        let before = self.mark();
        runtime.block_on(async {
            let again = tokio::time::sleep(at_most);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.served.retry.notified() => return,
                    () = &mut again => return,
                    () = tokio::time::sleep(FILES) => if self.mark() != before { return },
                }
            }
        });
    }

    /// A mark of the project's files as they are.
    fn mark(&self) -> (u64, Option<std::time::SystemTime>) {
        let project = self.served.project();
        let file = std::fs::metadata(&self.served.file).and_then(|data| data.modified()).ok();
        (FilesOnDisk::mark_of(&project), file)
    }
}
