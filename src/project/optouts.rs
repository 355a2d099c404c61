//! The section `opt-outs`: how profiles are read for their opt-outs, and how times are compared.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::{Ranged, Reader};
use crate::yaml::Spanned;

/// How opt-outs are read and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptoutReading {
    /// The filter, defined in Campaign, that gives the profiles changed since an instant, and its parameter.
    pub changed_profiles: Option<(String, String)>,
    /// How often all profiles are listed where there is no such filter.
    pub list_every: Duration,
    /// By how much the clocks of this machine and of the services may differ.
    pub clock_tolerance: Duration,
    /// The age of the newest export at which the exports have ceased.
    pub exports_stale_after: Duration,
}

impl Default for OptoutReading {
    fn default() -> OptoutReading {
        OptoutReading {
            changed_profiles: None,
            list_every: Duration::from_secs(3600),
            clock_tolerance: Duration::from_secs(5),
            // They come once a day, and not to the minute.
            exports_stale_after: Duration::from_secs(26 * 3600),
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct OptoutsDoc {
    /// A filter, defined in Campaign, that gives the profiles changed since an instant. Default: byLastModified with
    /// lastModified_parameter, if Campaign has it.
    changed_profiles: Option<ChangedDoc>,
    /// How often all profiles are listed where there is no such filter, in seconds. Default: 3600.
    list_every_seconds: Option<Ranged<0, 604_800>>,
    /// By how much the clocks of this machine and of the services may differ, in seconds. Default: 5.
    clock_tolerance_seconds: Option<Ranged<0, 3600>>,
    /// The age of the newest export at which a run warns that exports have ceased, in hours. Default: 26.
    exports_stale_after_hours: Option<Ranged<1, 720>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ChangedDoc {
    /// The name of the filter, as it is in addresses.
    filter: Spanned<String>,
    /// The name of its parameter.
    parameter: Spanned<String>,
}

impl Reader<'_> {
    pub(super) fn optouts(&mut self, doc: &OptoutsDoc) -> OptoutReading {
        let defaults = OptoutReading::default();
        let hour = 3600;
        let list = self.ranged("list-every-seconds", doc.list_every_seconds.as_ref(), defaults.list_every.as_secs(), "seconds");
        let tolerance =
            self.ranged("clock-tolerance-seconds", doc.clock_tolerance_seconds.as_ref(), defaults.clock_tolerance.as_secs(), "seconds");
        let stale = self.ranged(
            "exports-stale-after-hours",
            doc.exports_stale_after_hours.as_ref(),
            defaults.exports_stale_after.as_secs() / hour,
            "hours",
        );
        OptoutReading {
            changed_profiles: doc.changed_profiles.as_ref().map(|changed| {
                for name in [&changed.filter, &changed.parameter] {
                    self.word(name);
                }
                (changed.filter.value.trim().to_owned(), changed.parameter.value.trim().to_owned())
            }),
            list_every: Duration::from_secs(list),
            clock_tolerance: Duration::from_secs(tolerance),
            exports_stale_after: Duration::from_secs(stale * hour),
        }
    }
}
