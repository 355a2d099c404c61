//! What the two sides disagree about, and what a run would write of it and why.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::{CHUNK, Shared};
use crate::count::counted;
use crate::plan::Direction;
use crate::printable::inline;
use crate::run::RunError;

/// Contacts that are named for a kind of disagreement.
const EXAMPLES: usize = 5;

/// How the two sides of a flow compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// The mapping.
    pub mapping: String,
    /// Which way opt-outs go.
    pub direction: Direction,
    /// It is about topics: `attribute` of each line is the name of a service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub topics: bool,
    /// Contacts that have a profile.
    pub compared: u64,
    /// Of them, those that disagree about at least one opt-out.
    pub disagreeing: u64,
    /// Contacts without a profile: nothing is to be written; a profile that is made for one begins with its opt-outs.
    pub without_profile: u64,
    /// Profiles with a contact's id for a key, of which there is no such contact.
    pub without_contact: u64,
    /// By attribute, in the order of the file.
    pub attributes: Vec<AttributeReport>,
}

/// How the two sides compare in one attribute. Counts are of contacts that have a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AttributeReport {
    /// The attribute of the profile.
    pub attribute: String,
    /// The field of the contact.
    pub field: String,
    /// Whether the field is of the other sense.
    pub inverted: bool,
    /// The line of the mapping file.
    pub place: String,
    /// Both say that the person has opted out.
    pub both_out: u64,
    /// Neither says so.
    pub neither: u64,
    /// Only Dynamics says so.
    pub dynamics_only: u64,
    /// Only Campaign says so.
    pub campaign_only: u64,
    /// Will become an opt-out in Campaign.
    pub to_campaign: u64,
    /// Will become an opt-out in Dynamics.
    pub to_dynamics: u64,
    /// Will be a consent in Dynamics, because a strictly newer one was given in Campaign.
    pub consents_to_dynamics: u64,
    /// Will be a consent in Campaign, because Dynamics changed to one; only where Dynamics is the one source.
    pub consents_to_campaign: u64,
    /// An opt-out that only Campaign has, and that may be a later word than the consent of Dynamics: it stays, and is lifted only if somebody
    /// approves it.
    pub held: u64,
    /// Differs, and is left as it is: the source has not changed it.
    pub left: u64,
    /// Some of the contacts where only Dynamics has the opt-out.
    pub dynamics_only_examples: Vec<String>,
    /// Some of the contacts where only Campaign has it.
    pub campaign_only_examples: Vec<String>,
}

/// Compares what is known of both sides.
pub(super) async fn of(shared: &Arc<Shared>) -> Result<Reconciliation, RunError> {
    let flow = shared.flow();
    let mut report = Reconciliation {
        mapping: flow.mapping.clone(),
        direction: flow.direction,
        topics: flow.topics,
        compared: 0,
        disagreeing: 0,
        without_profile: 0,
        without_contact: 0,
        attributes: flow
            .pairs
            .iter()
            .map(|pair| AttributeReport {
                attribute: pair.target.clone(),
                field: pair.source.clone(),
                inverted: pair.inverted,
                place: shared.context.plan.place(pair.at),
                ..AttributeReport::default()
            })
            .collect(),
    };
    let by_flag = shared.pairs();
    let mut after = String::new();
    loop {
        let page = shared.optouts().optouts(&shared.name, &after, CHUNK).await?;
        let Some((last, _)) = page.last() else { return Ok(report) };
        after = last.clone();
        for (id, person) in &page {
            let decision = shared.rule.decide(person);
            let (contact, profile) = match (&person.contact, &person.profile) {
                (Some(contact), Some(profile)) => (contact, profile),
                (Some(_), None) => {
                    report.without_profile += 1;
                    // What it is owed by a profile that was deleted, or by a merged contact.
                    for (flag, pair) in &by_flag {
                        let line = report.attributes.iter_mut().find(|line| line.attribute == pair.target);
                        line.into_iter().for_each(|line| line.to_dynamics += u64::from(decision.raise_dynamics.has(*flag)));
                    }
                    continue;
                }
                (None, profile) => {
                    report.without_contact += u64::from(profile.is_some());
                    continue;
                }
            };
            report.compared += 1;
            let differs = ((contact.out & !profile.out) | (profile.out & !contact.out)) & shared.rule.pairs;
            report.disagreeing += u64::from(!differs.is_empty());
            for (flag, pair) in &by_flag {
                let Some(line) = report.attributes.iter_mut().find(|line| line.attribute == pair.target) else { continue };
                match (contact.out.has(*flag), profile.out.has(*flag)) {
                    (true, true) => line.both_out += 1,
                    (false, false) => line.neither += 1,
                    (true, false) => {
                        line.dynamics_only += 1;
                        example(&mut line.dynamics_only_examples, id);
                    }
                    (false, true) => {
                        line.campaign_only += 1;
                        example(&mut line.campaign_only_examples, id);
                    }
                }
                let kinds =
                    [decision.raise_campaign, decision.raise_dynamics, decision.lower_dynamics, decision.lower_campaign, person.held];
                let counts = kinds.map(|kind| u64::from(kind.has(*flag)));
                line.to_campaign += counts[0];
                line.to_dynamics += counts[1];
                line.consents_to_dynamics += counts[2];
                line.consents_to_campaign += counts[3];
                line.held += counts[4];
                line.left += u64::from(differs.has(*flag) && counts == [0; 5]);
            }
        }
    }
}

fn example(examples: &mut Vec<String>, id: &str) {
    if examples.len() < EXAMPLES {
        examples.push(id.to_owned());
    }
}

impl Reconciliation {
    /// Values that a run would write.
    pub fn writes(&self) -> u64 {
        self.attributes.iter().map(|a| a.to_campaign + a.to_dynamics + a.consents_to_dynamics + a.consents_to_campaign).sum()
    }

    /// Values that a run would write only if somebody approves it.
    pub fn held(&self) -> u64 {
        self.attributes.iter().map(|a| a.held).sum()
    }

    /// The report for people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "{} of {}: {} with a profile, {} of them with a difference; {} without a profile, {} without a contact",
            if self.topics { "topics" } else { "opt-outs" },
            self.mapping,
            counted(self.compared, "contact"),
            self.disagreeing,
            counted(self.without_profile, "contact"),
            counted(self.without_contact, "profile")
        );
        for a in &self.attributes {
            let not = if a.inverted { "not " } else { "" };
            let name = if self.topics { format!("subscription \"{}\"", inline(&a.attribute)) } else { a.attribute.clone() };
            let _ = writeln!(out, "  {} <-> {not}{name}   {}", a.field, a.place);
            let _ = writeln!(out, "    agree           {:>8} opted out on both sides, {} on neither", a.both_out, a.neither);
            for line in a.lines(self.direction) {
                let such =
                    if line.examples.is_empty() { String::new() } else { format!("; such as {}", inline(&line.examples.join(", "))) };
                let _ = writeln!(out, "    {:<15} {:>8} {}{such}", line.side, line.count, line.why);
            }
        }
        let _ = writeln!(out, "  to write: {}", self.writes());
        if self.held() > 0 {
            let _ = writeln!(out, "  needs approval: {}", self.held());
        }
        out
    }
}

/// A kind of difference in one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportLine<'a> {
    /// The side that has the opt-out.
    pub side: &'static str,
    /// In how many contacts.
    pub count: u64,
    /// What happens to it, and why.
    pub why: &'static str,
    /// Some of the contacts.
    pub examples: &'a [String],
}

impl AttributeReport {
    /// The kinds of differences that there are, in a flow of this direction.
    pub fn lines(&self, direction: Direction) -> Vec<ReportLine<'_>> {
        const DYNAMICS: &str = "Dynamics only";
        const CAMPAIGN: &str = "Campaign only";
        let to_campaign = match direction {
            Direction::D365ToCampaign => "becomes an opt-out in Campaign: an opt-out in Dynamics always does",
            Direction::Bidirectional | Direction::Disabled | Direction::CampaignToD365 => {
                "becomes an opt-out in Campaign: no later consent is known there"
            }
        };
        let consents_to_dynamics = match direction {
            Direction::CampaignToD365 => "becomes a consent in Dynamics: Campaign changed to it",
            Direction::Bidirectional | Direction::Disabled | Direction::D365ToCampaign => {
                "becomes a consent in Dynamics: the one in Campaign is strictly newer than the contact's last change"
            }
        };
        let (left_side, left) = match direction {
            Direction::D365ToCampaign => (CAMPAIGN, "left as it is: Dynamics has not changed it"),
            Direction::Bidirectional | Direction::Disabled | Direction::CampaignToD365 => {
                (DYNAMICS, "left as it is: Campaign has not changed it")
            }
        };
        let lines = [
            (DYNAMICS, self.to_campaign, to_campaign),
            (DYNAMICS, self.consents_to_dynamics, consents_to_dynamics),
            (CAMPAIGN, self.to_dynamics, "becomes an opt-out in Dynamics: where the sides differ, the opt-out wins"),
            (CAMPAIGN, self.consents_to_campaign, "becomes a consent in Campaign: Dynamics changed to it"),
            (CAMPAIGN, self.held, "stays an opt-out in Campaign, unless you approve that it is lifted"),
            (left_side, self.left, left),
        ];
        let examples = |side| if side == DYNAMICS { &*self.dynamics_only_examples } else { &*self.campaign_only_examples };
        let lines = lines.into_iter().filter(|(_, count, _)| *count > 0);
        lines.map(|(side, count, why)| ReportLine { side, count, why, examples: examples(side) }).collect()
    }
}
