//! The names of the columns of exports, and the words in them that stand for values.

/// Columns that delivery logs and tracking logs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogColumns {
    /// The log's own id.
    pub id: String,
    /// The profile's `externalId`.
    pub external_id: String,
    /// When it happened.
    pub at: String,
    /// The delivery's name. This one and those below may be missing in a file.
    pub delivery_id: String,
    /// The delivery's label.
    pub delivery_label: String,
    /// The campaign's name.
    pub campaign_id: String,
    /// The campaign's label.
    pub campaign_label: String,
    /// The mirror page.
    pub mirror_page: String,
    /// Whether times without a zone are in UTC; they are an error otherwise.
    pub zoneless_is_utc: bool,
}

impl Default for LogColumns {
    fn default() -> Self {
        Self {
            id: "logId".into(),
            external_id: "externalId".into(),
            at: "eventDate".into(),
            delivery_id: "deliveryId".into(),
            delivery_label: "deliveryLabel".into(),
            campaign_id: "campaignId".into(),
            campaign_label: "campaignLabel".into(),
            mirror_page: "mirrorPage".into(),
            zoneless_is_utc: false,
        }
    }
}

/// Columns of the delivery logs, and the words for what happened. Words are compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLogColumns {
    /// What tracking logs have as well.
    pub log: LogColumns,
    /// What happened.
    pub status: String,
    /// How it failed; may be missing where nothing is carried of failures.
    pub failure_type: String,
    /// Campaign's words for a failure; may be missing.
    pub failure_reason: String,
    /// Values of `status` for a message that was sent.
    pub sent: Vec<String>,
    /// Values of `status` for one that failed.
    pub failed: Vec<String>,
    /// Values of `failure_type` for a hard bounce.
    pub hard: Vec<String>,
    /// Values of `status` for what is skipped: a message that waits, or was left out on purpose.
    pub passed_over: Vec<String>,
}

impl Default for DeliveryLogColumns {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            log: LogColumns::default(),
            status: "status".into(),
            failure_type: "failureType".into(),
            failure_reason: "failureReason".into(),
            // Assumed: the numbers and names of Campaign's enumerations `broadLog:status` and `broadLogMsg:failureType`.
            sent: words(&["sent", "1"]),
            failed: words(&["failed", "2"]),
            hard: words(&["hard", "2"]),
            passed_over: words(&[
                "ignored",
                "0",
                "pending",
                "6",
                "prepared",
                "7",
                "not applicable",
                "5",
                "taken into account",
                "delivery cancelled",
            ]),
        }
    }
}

/// Columns of the tracking logs, and the words for what happened. Words are compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingLogColumns {
    /// What delivery logs have as well.
    pub log: LogColumns,
    /// What the link was.
    pub kind: String,
    /// The address behind it; may be missing.
    pub url: String,
    /// Values of `kind` for an open.
    pub open: Vec<String>,
    /// Values of `kind` for a click.
    pub click: Vec<String>,
    /// Values of `kind` that are skipped: the mirror page, the page for opting out.
    pub passed_over: Vec<String>,
}

impl Default for TrackingLogColumns {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            log: LogColumns::default(),
            kind: "type".into(),
            url: "url".into(),
            // Assumed: the numbers and names of Campaign's enumeration `trackingUrl:type`.
            open: words(&["open", "2"]),
            click: words(&["email click", "click", "1"]),
            passed_over: words(&["opt-out", "3", "mirror page", "6"]),
        }
    }
}

/// Columns of the opt-out changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutColumns {
    /// The profile's `externalId`.
    pub external_id: String,
    /// How a line contains the attributes.
    pub layout: OptOutLayout,
    /// Whether times without a zone are in UTC; they are an error otherwise.
    pub zoneless_is_utc: bool,
}

/// How a line contains the attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptOutLayout {
    /// A line for each attribute that changed.
    Long {
        /// The attribute's name.
        attribute: String,
        /// Its value.
        value: String,
        /// When it changed.
        at: String,
    },
    /// A line for each profile, with a column for each attribute (by its name, in either spelling) and one for its change, whose name is the
    /// attribute's with this suffix. Attributes may be missing; where the time of a change is empty, that attribute did not change.
    Wide {
        /// What is added to an attribute's name.
        suffix: String,
    },
}

impl Default for OptOutColumns {
    fn default() -> Self {
        let layout = OptOutLayout::Long { attribute: "attribute".into(), value: "value".into(), at: "lastModified".into() };
        Self { external_id: "externalId".into(), layout, zoneless_is_utc: false }
    }
}
