//! What the exports say: deliveries, opens and clicks, changes of opt-outs.
//!
//! Assumed throughout: the columns of an export are chosen in Campaign's workflow, and no document of the vendor fixes them. The default names
//! here are our own, in the style of the REST API; a project that exports others sets them. What is documented: the names of the opt-out
//! attributes (`blackList…` in the REST API, `denyList…` in the user interface and in newer documents), `externalId` as the place of
//! the contact's id, that the integration compares attribute-level change times, and the form of instants,
//! `2019-09-25 23:20:35.000Z` (Campaign Standard REST API).

use std::fmt;

use csv::StringRecord;

use super::columns::{DeliveryLogColumns, LogColumns, OptOutColumns, OptOutLayout, TrackingLogColumns};
use crate::time::{Instant, LocalDateTime, parse_instant, parse_local};

/// The name of a column that a file needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingColumn(pub String);

/// A kind of export: which columns it has, and what a record of it is.
pub trait Record: Sized + Send {
    /// The names of the columns, and the words that stand for values.
    type Columns: Clone + Send + Sync + Default;
    /// Where in this file's records the columns are.
    type Shape: Send + Sync;

    /// Finds the columns in a header.
    ///
    /// # Errors
    /// The name of a needed column that is not there.
    fn shape(columns: &Self::Columns, header: &[String]) -> Result<Self::Shape, MissingColumn>;

    /// Reads one line. It may hold several records, or none where it speaks of what is not carried.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    fn read(shape: &Self::Shape, fields: &StringRecord) -> Result<Vec<Self>, FieldProblem>;
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// A needed field is empty.
    #[error("`{column}` is empty")]
    Empty {
        /// The column.
        column: String,
    },
    /// No instant.
    #[error(
        "`{column}` is not an instant; write it as 2019-09-25 23:20:35.000Z or 2019-09-25T23:20:35Z, or say that times without a zone are in UTC"
    )]
    Instant {
        /// The column.
        column: String,
    },
    /// Neither true nor false.
    #[error("`{column}` is neither true nor false")]
    Boolean {
        /// The column.
        column: String,
    },
    /// A word that is not among the configured ones.
    #[error("`{column}` has an unknown value: add it to the words of this column")]
    Word {
        /// The column.
        column: String,
    },
    /// An opt-out attribute that Campaign does not have.
    #[error("`{column}` names no opt-out attribute")]
    Attribute {
        /// The column.
        column: String,
    },
}

/// The delivery that a log speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's own name, as in `DM100`.
    pub id: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// The campaign's own name, as in `CMP12`.
    pub campaign_id: Option<String>,
    /// The campaign's label.
    pub campaign_label: Option<String>,
}

/// A line of the delivery logs (Campaign: `broadLog`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLog {
    /// The log's own id, by which a repeated line is known.
    pub id: String,
    /// The profile's `externalId`, which is the contact's id; none for a profile that the integration did not make.
    pub external_id: Option<String>,
    /// What happened.
    pub outcome: DeliveryOutcome,
    /// When.
    pub at: Instant,
    /// Of what delivery.
    pub delivery: Delivery,
    /// The page that shows the message.
    pub mirror_page: Option<String>,
}

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It was sent.
    Sent,
    /// It came back permanently: the address does not exist. The integration carries just these bounces.
    HardBounce {
        /// Campaign's words for it.
        reason: Option<String>,
    },
    /// It came back for now, or was not sent for another reason.
    OtherFailure {
        /// Campaign's words for it.
        reason: Option<String>,
    },
}

/// A line of the tracking logs (Campaign: `trackingLog`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingLog {
    /// The log's own id.
    pub id: String,
    /// The profile's `externalId`.
    pub external_id: Option<String>,
    /// What happened.
    pub kind: TrackingKind,
    /// When.
    pub at: Instant,
    /// Of what delivery.
    pub delivery: Delivery,
    /// The page that shows the message.
    pub mirror_page: Option<String>,
    /// The address that was opened; for clicks.
    pub url: Option<String>,
}

/// What a tracked link was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackingKind {
    /// The message was opened.
    Open,
    /// A link in it was.
    Click,
}

/// One opt-out attribute of one profile, with the time of its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutChange {
    /// The profile's `externalId`.
    pub external_id: String,
    /// Which attribute.
    pub attribute: OptOut,
    /// Its value: true means that the person does not want it.
    pub value: bool,
    /// When this attribute was changed.
    pub at: Instant,
}

/// The opt-out attributes of a profile, a fixed list (Campaign Standard REST API: profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OptOut {
    /// All channels.
    All,
    /// Email.
    Email,
    /// Fax.
    Fax,
    /// SMS.
    Mobile,
    /// Telephone.
    Phone,
    /// Letters.
    PostalMail,
    /// Push notifications.
    PushNotification,
    /// The sale of personal data (CCPA).
    Ccpa,
}

impl OptOut {
    /// All of them.
    pub const ALL: [OptOut; 8] = [
        OptOut::All,
        OptOut::Email,
        OptOut::Fax,
        OptOut::Mobile,
        OptOut::Phone,
        OptOut::PostalMail,
        OptOut::PushNotification,
        OptOut::Ccpa,
    ];

    /// The name in the REST API.
    pub fn rest_name(self) -> &'static str {
        match self {
            OptOut::All => "blackList",
            OptOut::Email => "blackListEmail",
            OptOut::Fax => "blackListFax",
            OptOut::Mobile => "blackListMobile",
            OptOut::Phone => "blackListPhone",
            OptOut::PostalMail => "blackListPostalMail",
            OptOut::PushNotification => "blackListPushnotification",
            OptOut::Ccpa => "ccpaOptOut",
        }
    }

    /// The attribute of a name, in either spelling and any case.
    pub fn from_name(name: &str) -> Option<OptOut> {
        let name = name.trim().to_ascii_lowercase().replacen("denylist", "blacklist", 1);
        OptOut::ALL.into_iter().find(|attribute| attribute.rest_name().eq_ignore_ascii_case(&name))
    }
}

impl fmt::Display for OptOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rest_name())
    }
}

/// A column that was found.
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    at: usize,
}

impl Column {
    /// Compared without case: a workflow's designer may have written the label differently.
    fn find(name: &str, header: &[String]) -> Option<Column> {
        let at = header.iter().position(|h| h == name).or_else(|| header.iter().position(|h| h.eq_ignore_ascii_case(name)))?;
        Some(Column { name: name.to_owned(), at })
    }

    fn need(name: &str, header: &[String]) -> Result<Column, MissingColumn> {
        Column::find(name, header).ok_or_else(|| MissingColumn(name.to_owned()))
    }

    fn text<'a>(&self, fields: &'a StringRecord) -> Option<&'a str> {
        fields.get(self.at).map(str::trim).filter(|text| !text.is_empty())
    }

    fn needed<'a>(&self, fields: &'a StringRecord) -> Result<&'a str, FieldProblem> {
        self.text(fields).ok_or_else(|| FieldProblem::Empty { column: self.name.clone() })
    }

    fn instant(&self, fields: &StringRecord, zoneless_is_utc: bool) -> Result<Instant, FieldProblem> {
        let text = self.needed(fields)?;
        let zoneless = || -> Option<LocalDateTime> { parse_local(&text.replacen(' ', "T", 1)) };
        let instant = parse_instant(text).or_else(|| zoneless().filter(|_| zoneless_is_utc).map(|t| t.and_utc()));
        instant.ok_or_else(|| FieldProblem::Instant { column: self.name.clone() })
    }

    fn boolean(&self, fields: &StringRecord) -> Result<bool, FieldProblem> {
        let text = self.needed(fields)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(FieldProblem::Boolean { column: self.name.clone() }),
        }
    }
}

fn text(column: Option<&Column>, fields: &StringRecord) -> Option<String> {
    column.and_then(|c| c.text(fields)).map(str::to_owned)
}

fn among(words: &[String], text: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Where a log's columns are.
#[derive(Debug)]
pub struct LogShape {
    id: Column,
    external_id: Column,
    at: Column,
    delivery_id: Option<Column>,
    delivery_label: Option<Column>,
    campaign_id: Option<Column>,
    campaign_label: Option<Column>,
    mirror_page: Option<Column>,
    zoneless_is_utc: bool,
}

impl LogShape {
    fn find(columns: &LogColumns, header: &[String]) -> Result<LogShape, MissingColumn> {
        Ok(LogShape {
            id: Column::need(&columns.id, header)?,
            external_id: Column::need(&columns.external_id, header)?,
            at: Column::need(&columns.at, header)?,
            delivery_id: Column::find(&columns.delivery_id, header),
            delivery_label: Column::find(&columns.delivery_label, header),
            campaign_id: Column::find(&columns.campaign_id, header),
            campaign_label: Column::find(&columns.campaign_label, header),
            mirror_page: Column::find(&columns.mirror_page, header),
            zoneless_is_utc: columns.zoneless_is_utc,
        })
    }

    fn delivery(&self, fields: &StringRecord) -> Delivery {
        Delivery {
            id: text(self.delivery_id.as_ref(), fields),
            label: text(self.delivery_label.as_ref(), fields),
            campaign_id: text(self.campaign_id.as_ref(), fields),
            campaign_label: text(self.campaign_label.as_ref(), fields),
        }
    }
}

/// Where the columns of delivery logs are.
#[derive(Debug)]
pub struct DeliveryLogShape {
    log: LogShape,
    status: Column,
    failure_type: Option<Column>,
    failure_reason: Option<Column>,
    words: DeliveryLogColumns,
}

impl Record for DeliveryLog {
    type Columns = DeliveryLogColumns;
    type Shape = DeliveryLogShape;

    fn shape(columns: &DeliveryLogColumns, header: &[String]) -> Result<DeliveryLogShape, MissingColumn> {
        Ok(DeliveryLogShape {
            log: LogShape::find(&columns.log, header)?,
            status: Column::need(&columns.status, header)?,
            failure_type: Column::find(&columns.failure_type, header),
            failure_reason: Column::find(&columns.failure_reason, header),
            words: columns.clone(),
        })
    }

    fn read(shape: &DeliveryLogShape, fields: &StringRecord) -> Result<Vec<DeliveryLog>, FieldProblem> {
        let (log, words) = (&shape.log, &shape.words);
        let status = shape.status.needed(fields)?;
        let outcome = if among(&words.sent, status) {
            DeliveryOutcome::Sent
        } else if among(&words.failed, status) {
            let reason = text(shape.failure_reason.as_ref(), fields);
            let hard = shape.failure_type.as_ref().and_then(|c| c.text(fields)).is_some_and(|t| among(&words.hard, t));
            if hard { DeliveryOutcome::HardBounce { reason } } else { DeliveryOutcome::OtherFailure { reason } }
        } else if among(&words.passed_over, status) {
            return Ok(Vec::new());
        } else {
            return Err(FieldProblem::Word { column: shape.status.name.clone() });
        };
        Ok(vec![DeliveryLog {
            id: log.id.needed(fields)?.to_owned(),
            external_id: text(Some(&log.external_id), fields),
            outcome,
            at: log.at.instant(fields, log.zoneless_is_utc)?,
            delivery: log.delivery(fields),
            mirror_page: text(log.mirror_page.as_ref(), fields),
        }])
    }
}

/// Where the columns of tracking logs are.
#[derive(Debug)]
pub struct TrackingLogShape {
    log: LogShape,
    kind: Column,
    url: Option<Column>,
    words: TrackingLogColumns,
}

impl Record for TrackingLog {
    type Columns = TrackingLogColumns;
    type Shape = TrackingLogShape;

    fn shape(columns: &TrackingLogColumns, header: &[String]) -> Result<TrackingLogShape, MissingColumn> {
        Ok(TrackingLogShape {
            log: LogShape::find(&columns.log, header)?,
            kind: Column::need(&columns.kind, header)?,
            url: Column::find(&columns.url, header),
            words: columns.clone(),
        })
    }

    fn read(shape: &TrackingLogShape, fields: &StringRecord) -> Result<Vec<TrackingLog>, FieldProblem> {
        let (log, words) = (&shape.log, &shape.words);
        let kind = shape.kind.needed(fields)?;
        let kind = if among(&words.open, kind) {
            TrackingKind::Open
        } else if among(&words.click, kind) {
            TrackingKind::Click
        } else if among(&words.passed_over, kind) {
            return Ok(Vec::new());
        } else {
            return Err(FieldProblem::Word { column: shape.kind.name.clone() });
        };
        Ok(vec![TrackingLog {
            id: log.id.needed(fields)?.to_owned(),
            external_id: text(Some(&log.external_id), fields),
            kind,
            at: log.at.instant(fields, log.zoneless_is_utc)?,
            delivery: log.delivery(fields),
            mirror_page: text(log.mirror_page.as_ref(), fields),
            url: text(shape.url.as_ref(), fields),
        }])
    }
}

/// Where the columns of opt-out changes are.
#[derive(Debug)]
pub struct OptOutShape {
    external_id: Column,
    layout: LayoutShape,
    zoneless_is_utc: bool,
}

#[derive(Debug)]
enum LayoutShape {
    Long { attribute: Column, value: Column, at: Column },
    Wide(Vec<(OptOut, Column, Column)>),
}

impl Record for OptOutChange {
    type Columns = OptOutColumns;
    type Shape = OptOutShape;

    fn shape(columns: &OptOutColumns, header: &[String]) -> Result<OptOutShape, MissingColumn> {
        let layout = match &columns.layout {
            OptOutLayout::Long { attribute, value, at } => LayoutShape::Long {
                attribute: Column::need(attribute, header)?,
                value: Column::need(value, header)?,
                at: Column::need(at, header)?,
            },
            OptOutLayout::Wide { suffix } => {
                let mut found = Vec::new();
                for name in header {
                    if let Some(attribute) = OptOut::from_name(name) {
                        found.push((attribute, Column::need(name, header)?, Column::need(&format!("{name}{suffix}"), header)?));
                    }
                }
                if found.is_empty() {
                    return Err(MissingColumn("blackListEmail".to_owned()));
                }
                LayoutShape::Wide(found)
            }
        };
        Ok(OptOutShape { external_id: Column::need(&columns.external_id, header)?, layout, zoneless_is_utc: columns.zoneless_is_utc })
    }

    fn read(shape: &OptOutShape, fields: &StringRecord) -> Result<Vec<OptOutChange>, FieldProblem> {
        let external_id = shape.external_id.needed(fields)?;
        let change = |attribute, value: &Column, at: &Column| {
            let (value, at) = (value.boolean(fields)?, at.instant(fields, shape.zoneless_is_utc)?);
            Ok(OptOutChange { external_id: external_id.to_owned(), attribute, value, at })
        };
        match &shape.layout {
            LayoutShape::Long { attribute, value, at } => {
                let named = OptOut::from_name(attribute.needed(fields)?);
                let named = named.ok_or_else(|| FieldProblem::Attribute { column: attribute.name.clone() })?;
                Ok(vec![change(named, value, at)?])
            }
            LayoutShape::Wide(all) => all
                .iter()
                .filter(|(_, _, at)| at.text(fields).is_some())
                .map(|(attribute, value, at)| change(*attribute, value, at))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R: Record>(columns: &R::Columns, header: &str, line: &str) -> Result<Vec<R>, FieldProblem> {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        R::read(&R::shape(columns, &header).unwrap(), &StringRecord::from(line.split(',').collect::<Vec<_>>()))
    }

    #[test]
    fn a_delivery_log_is_sent_a_hard_bounce_or_another_failure() {
        let header = "logId,externalId,eventDate,status,failureType,failureReason,deliveryId,mirrorPage";
        let outcome = |line: &str| read::<DeliveryLog>(&DeliveryLogColumns::default(), header, line).map(|r| r[0].outcome.clone());
        assert_eq!(outcome("1,c,2019-09-25 23:20:35.000Z,Sent,,,DM1,"), Ok(DeliveryOutcome::Sent));
        let reason = Some("User unknown".to_owned());
        assert_eq!(outcome("1,c,2019-09-25T23:20:35Z,2,2,User unknown,DM1,"), Ok(DeliveryOutcome::HardBounce { reason }));
        assert_eq!(outcome("1,c,2019-09-25T23:20:35Z,failed,soft,,DM1,"), Ok(DeliveryOutcome::OtherFailure { reason: None }));
        assert_eq!(outcome("1,c,2019-09-25T23:20:35Z,sideways,,,,"), Err(FieldProblem::Word { column: "status".into() }));
        assert_eq!(outcome(",c,2019-09-25T23:20:35Z,sent,,,,"), Err(FieldProblem::Empty { column: "logId".into() }));
        let waiting = read::<DeliveryLog>(&DeliveryLogColumns::default(), header, "1,c,2019-09-25T23:20:35Z,pending,,,,").unwrap();
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_tracking_log_keeps_the_address_of_a_click_and_may_have_no_recipient() {
        let header = "logId,externalId,eventDate,type,url,campaignLabel";
        let records =
            read::<TrackingLog>(&TrackingLogColumns::default(), header, "7,,2019-09-25 23:20:35.000Z,Email click,https://x/y,Spring")
                .unwrap();
        assert_eq!((records[0].kind, records[0].url.as_deref()), (TrackingKind::Click, Some("https://x/y")));
        assert_eq!((records[0].external_id.as_deref(), records[0].delivery.campaign_label.as_deref()), (None, Some("Spring")));
    }

    #[test]
    fn opt_outs_are_in_lines_or_in_columns_under_either_name() {
        let change = |attribute, value| OptOutChange {
            external_id: "c1".into(),
            attribute,
            value,
            at: parse_instant("2024-01-02T03:04:05Z").unwrap(),
        };
        let long = |line: &str| read::<OptOutChange>(&OptOutColumns::default(), "externalId,attribute,value,lastModified", line);
        for name in ["blackListEmail", "denyListEmail", "DENYLISTEMAIL"] {
            assert_eq!(long(&format!("c1,{name},true,2024-01-02 03:04:05.000Z")), Ok(vec![change(OptOut::Email, true)]));
        }
        assert_eq!(long("c1,email,true,2024-01-02 03:04:05.000Z"), Err(FieldProblem::Attribute { column: "attribute".into() }));
        assert_eq!(long("c1,ccpaOptOut,maybe,2024-01-02 03:04:05.000Z"), Err(FieldProblem::Boolean { column: "value".into() }));
        let wide = OptOutColumns { layout: OptOutLayout::Wide { suffix: "Changed".into() }, ..OptOutColumns::default() };
        let header = "externalId,denyList,denyListChanged,ccpaOptOut,ccpaOptOutChanged,blackListFax,blackListFaxChanged";
        let line = "c1,0,2024-01-02T03:04:05Z,1,2024-01-02T03:04:05Z,0,";
        assert_eq!(read::<OptOutChange>(&wide, header, line), Ok(vec![change(OptOut::All, false), change(OptOut::Ccpa, true)]));
    }

    #[test]
    fn a_time_without_a_zone_is_read_only_if_the_zone_is_configured() {
        let line = "c1,blackList,1,2024-01-02 03:04:05";
        let header = "externalId,attribute,value,lastModified";
        assert_eq!(
            read::<OptOutChange>(&OptOutColumns::default(), header, line),
            Err(FieldProblem::Instant { column: "lastModified".into() })
        );
        let vouched = OptOutColumns { zoneless_is_utc: true, ..OptOutColumns::default() };
        assert_eq!(read::<OptOutChange>(&vouched, header, line).unwrap()[0].at, parse_instant("2024-01-02T03:04:05Z").unwrap());
    }

    #[test]
    fn a_missing_column_is_named_and_case_does_not_matter() {
        let header: Vec<String> = ["logid", "EXTERNALID", "eventDate", "status"].map(str::to_owned).to_vec();
        assert!(DeliveryLog::shape(&DeliveryLogColumns::default(), &header).is_ok());
        assert_eq!(DeliveryLog::shape(&DeliveryLogColumns::default(), &header[1..]).unwrap_err(), MissingColumn("logId".to_owned()));
    }
}
